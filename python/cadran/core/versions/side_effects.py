"""What decides the rows of a table beside its SELECT: hooks, headers, materialisations, increments.

None of it shows in the compiled SQL of a model, so it is compared by its text, comments and layout
apart: the text itself, the project's macros that it calls at any depth (overrides of what dbt calls
included), and the variables that they name.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from cadran.core.project.graph import checksum, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cadran.core.project.graph import Graph

_BLOCK = re.compile(r"\{%-?\s*(\w+)(.*?)-?%\}", re.DOTALL)
_EXPRESSION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_HEADER = re.compile(r"\{%-?\s*call\s+set_sql_header\b.*?endcall\s*-?%\}", re.DOTALL)
_TELLS = re.compile(r"\bis_incremental\b|\bFULL_REFRESH\b|\bshould_full_refresh\b")
# Statements that change no row.
_HARMLESS = re.compile(r"(grant|revoke|analyze|vacuum|comment on|checkpoint)\b", re.IGNORECASE)
_PLACE = re.compile(r"\{\{\s*(this|target)(\.\w+)?\s*\}\}")
# Beginnings of what may change the rows of a model, and that running its SELECT does not repeat.
UNREPEATED = ("pre-hook", "post-hook", "SQL header", "materialization")
_LOADED = ("column_types", "delimiter")
# Hooks of this package that were read and change no row of a model: they keep marks of builds, tell
# planners of new tables, and create what reads texts on PostgreSQL. By the checksums of their texts
# with all that they call on any engine: another character, and they are side effects as all are.
_REVIEWED = frozenset({
    "3e102d77385e7236",  # post-hook: keep_statistics
    "16c5ef9ca0ce40e1",  # on-run-start: create_readers and mark_build
    "c3506c8b7c4412a1",  # on-run-end: mark_build_end
})  # fmt: skip
# The same hooks as records have them, by what they called on DuckDB.
_RECORDED = frozenset({
    "12cc992aa9b0b193",  # post-hook: keep_statistics
    "c599e032018ae62c",  # on-run-start: create_readers and mark_build
    "834bace985df4538",  # on-run-end: mark_build_end with mark_times
    "2fb29eb922df889d",  # on-run-start: mark_build alone
    "6e990a1c98f44f94",  # on-run-end: mark_build_end alone
})  # fmt: skip


def bearing(effects: dict[str, str]) -> dict[str, str]:
    """Those of a record's side effects that bear on rows: the package's own hooks were read."""
    return {name: digest for name, digest in effects.items() if digest not in _RECORDED}


def side_effects(graph: Graph, nodes: Iterable[str]) -> dict[str, str]:
    """For each thing beside a SELECT that bears on rows, a checksum of it; "post-hook of model x".

    Args:
        graph: dbt's manifest, parsed or compiled.
        nodes: the dbt ids of the models, snapshots, seeds and sources that a KPI comes from.
    """
    texts: dict[str, list[str]] = {}
    for key in nodes:
        node = graph.nodes[key]
        kind, name = node["resource_type"], node["name"]
        if kind == "source":
            if node["identifier"] != name:
                texts[f"identifier of source {node['source_name']}.{name}"] = [node["identifier"]]
            continue
        for what, content in _of_node(graph, node):
            texts[f"{what} of {kind} {name}"] = content
    for operation in graph.operations:
        place = f"{operation['tags'][0]} of project {operation['package_name']}"
        texts.setdefault(place, []).append(plain(operation["raw_code"]))
    return {
        name: _checksum(graph, content)
        for name, content in sorted(texts.items())
        if reviewable(graph, content) not in _REVIEWED
    }


def reviewable(graph: Graph, texts: list[str]) -> str:
    """A checksum of hooks with all that they call on any engine; values of variables apart."""
    macros = {*graph.called_by(texts), *graph.called_by(texts, on_any_engine=True)}
    bodies = [plain(graph.manifest["macros"][key]["macro_sql"]) for key in sorted(macros)]
    return checksum(_json([texts, bodies]))[:16]


def _of_node(graph: Graph, node: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    config, code = node["config"], node.get("raw_code") or ""
    for hook in ("pre-hook", "post-hook"):
        statements = [plain(str(one["sql"])) for one in config.get(hook) or ()]
        statements = [text for text in statements if not _is_harmless(text)]
        if statements:
            yield hook, statements
    headers = [str(config["sql_header"])] if config.get("sql_header") else []
    headers += _HEADER.findall(code)
    if headers:
        yield "SQL header", [plain(header) for header in headers]
    if (config.get("contract") or {}).get("enforced"):
        columns = [
            [name, column.get("data_type"), column.get("constraints") or []]
            for name, column in node["columns"].items()
        ]
        yield "contract", [_json([columns, node.get("constraints") or []])]
    loaded = {name: config[name] for name in _LOADED if config.get(name) not in (None, {}, ",")}
    if node["resource_type"] == "seed" and loaded:
        yield "types", [_json(loaded)]
    making = _materialization(graph, str(config.get("materialized")))
    if making:
        yield "materialization", making
    if config.get("materialized") == "incremental":
        increment = [*_increment(code), *_macros_that_tell(graph, node)]
        strategy = f"get_incremental_{config.get('incremental_strategy')}_sql()"
        increment += [strategy] if graph.called_by([strategy]) else []
        if increment:
            yield "increment", increment


def _materialization(graph: Graph, name: str) -> list[str]:
    """The project's own macros by which a model is made; none where dbt makes it by itself."""
    own = graph.called_by([f"materialization_{name}("])
    return [f"{name} {' '.join(own)}"] if own else []


def _increment(code: str) -> list[str]:
    """What of a model's code decides an increment and stands in no plain `if` of its own."""
    rest, expressions = _EXPRESSION.sub("", code), _EXPRESSION.findall(code)
    telling = [plain(text) for text in expressions if _TELLS.search(text)]
    depth = 0
    for block in _BLOCK.finditer(rest):
        word, condition = block[1], block[2]
        if word == "endif":
            depth -= depth > 0
        elif word == "if" and depth == 0 and _TELLS.search(condition) and "%" not in condition:
            depth = 1
        elif (word == "if" and depth) or _TELLS.search(condition):
            # Told within another block, or set aside: it may bear on all that follows.
            return [plain(code)]
    return telling


def _macros_that_tell(graph: Graph, node: dict[str, Any]) -> list[str]:
    """The macros called by a model that ask by themselves whether it is built by increments."""
    macros = graph.manifest["macros"]
    return [
        f"{macros[key]['name']}()"
        for key in graph.macros_behind([node["unique_id"]])
        if _TELLS.search(macros[key]["macro_sql"])
    ]


def _is_harmless(hook: str) -> bool:
    text = _PLACE.sub("place", hook)
    statements = [statement.strip() for statement in text.split(";") if statement.strip()]
    return "{" not in text and all(map(_HARMLESS.match, statements))


def _checksum(graph: Graph, texts: list[str]) -> str:
    macros = graph.called_by(texts)
    bodies = [plain(graph.manifest["macros"][key]["macro_sql"]) for key in macros]
    named = [[kind, name, value] for kind, name, _, value in graph.named_in([*texts, *bodies])]
    return checksum(_json([texts, bodies, named]))[:16]


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
