"""Everything a KPI's numbers come from: models, macros, variables, seeds, sources and definitions.

Each is a node with a file and a checksum that ignores comments and layout. Between two versions of
a KPI, the nodes whose checksums differ are what caused a change.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cadran.core.project.dbt import ENVIRONMENT, dispatch_order, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from cadran.core.project.artifacts import Project


def checksum(text: str) -> str:
    """The SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


_COMMENTS = re.compile(r"\{#.*?#\}|/\*.*?\*/|--[^\n]*|^\s*#[^\n]*", re.DOTALL | re.MULTILINE)
VARIABLE = re.compile(r"\bvar\(\s*['\"]([\w.]+)['\"]")
# What a text calls, and the first text that it is given.
_CALLED = re.compile(r"\b(\w+)\((?:\s*['\"](\w+))?")
_SOME_VARIABLE = re.compile(r"\bvar\(\s*[^'\"\s]")
_SNAPSHOT = (
    "strategy", "unique_key", "updated_at", "check_cols", "hard_deletes",
    "invalidate_hard_deletes", "dbt_valid_to_current",
)  # fmt: skip
_WORDS = {"description", "label", "metadata", "config", "datatype", "is_private"}
# dbt's own macros change with dbt; what they make of a model is in its compiled SQL.
NOT_OURS = {"dbt", "dbt_duckdb", "dbt_postgres", "dbt_spark"}
# Where the data lie is no definition.
_PLACES = {"cadran_sources"}


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """One thing that a KPI's numbers come from.

    Attributes:
        kind: model, snapshot, seed, macro, var, source, metric or semantic model.
        name: its name, of its kind.
        file: where it is written.
        checksum: of what it says, without comments and layout.
    """

    kind: str
    name: str
    file: str
    checksum: str


class Graph:
    """dbt's manifest, asked for what stands behind something."""

    def __init__(self, project: Project, root: Path | None) -> None:
        """Take the compiled project, and the folder of its files where it is known."""
        self._root = root
        self.manifest = project.dbt_manifest
        self.semantic = project.semantic_manifest

    @cached_property
    def nodes(self) -> dict[str, dict[str, Any]]:
        """Models, snapshots, seeds and sources by their dbt ids."""
        nodes = {
            key: node
            for key, node in self.manifest["nodes"].items()
            if node["resource_type"] in ("model", "snapshot", "seed")
        }
        return {**nodes, **self.manifest["sources"]}

    @cached_property
    def by_relation(self) -> dict[tuple[str, str], str]:
        """The dbt id of each relation, by schema and name, which survive a renamed database."""
        return {
            (str(node["schema"]).lower(), str(node.get("alias") or node["identifier"]).lower()): key
            for key, node in self.nodes.items()
        }

    @cached_property
    def spines(self) -> set[str]:
        """The dbt ids of the time spines."""
        return {
            key
            for spine in self.semantic["project_configuration"]["time_spines"]
            if (key := self.of_relation(spine["node_relation"]))
        }

    @cached_property
    def facts(self) -> set[str]:
        """The dbt ids of the models that semantic models stand on."""
        return {
            key
            for model in self.semantic["semantic_models"]
            if (key := self.of_relation(model["node_relation"]))
        }

    @cached_property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """Metrics of the semantic manifest by name."""
        return {metric["name"]: metric for metric in self.semantic["metrics"]}

    @cached_property
    def _variables(self) -> dict[str, Any]:
        return variables(self._root) if self._root else {}

    @cached_property
    def dispatch(self) -> Any:
        """The order in which dbt looks for what it dispatches to, where the project sets it."""
        return dispatch_order(self._root) if self._root else None

    def of_relation(self, relation: dict[str, Any]) -> str | None:
        """The dbt id of a relation of the semantic manifest."""
        return self.by_relation.get(
            (str(relation["schema_name"]).lower(), str(relation["alias"]).lower())
        )

    def without_database(self, sql: str) -> str:
        """SQL whose relations are named by schema and name: a database may be called anything."""
        models = self.semantic["semantic_models"]
        for name in {model["node_relation"]["database"] for model in models} - {None}:
            sql = sql.replace(f'"{name}".', "")
        return sql

    def meaning_of_metric(self, name: str) -> dict[str, Any]:
        """What decides a metric's values; its words and its card do not."""
        metric = self.metrics[name]
        keys = ("type", "type_params", "filter", "time_granularity")
        return {key: _without_words(metric[key]) for key in keys}

    def meaning_of_semantic_model(self, model: dict[str, Any]) -> Any:
        """What decides how a semantic model is read."""
        return _without_words({k: v for k, v in model.items() if k != "node_relation"})

    def closure(self, metrics: Iterable[str], nodes: Iterable[str]) -> list[Node]:
        """Nodes for these metrics and these dbt nodes, with macros and variables, sorted."""
        nodes_by_key: dict[tuple[str, str], Node] = {}
        nodes = list(nodes)

        def add(kind: str, name: str, file: str, content: str) -> None:
            nodes_by_key[kind, name] = Node(kind, name, file, checksum(content)[:16])

        for name in metrics:
            key = next((k for k in self.manifest["metrics"] if k.endswith(f".{name}")), None)
            file = self.manifest["metrics"][key]["original_file_path"] if key else ""
            add("metric", name, file, _json(self.meaning_of_metric(name)))
        for model in self.semantic["semantic_models"]:
            if self.of_relation(model["node_relation"]) in nodes:
                key = next(
                    k for k in self.manifest["semantic_models"] if k.endswith(f".{model['name']}")
                )
                file = self.manifest["semantic_models"][key]["original_file_path"]
                content = _json(self.meaning_of_semantic_model(model))
                add("semantic model", model["name"], file, content)
        texts: list[str] = []
        for key in nodes:
            node = self.nodes[key]
            name, kind = node["name"], node["resource_type"]
            if kind == "seed":
                add(kind, name, node["original_file_path"], self.seed_hash(key))
            elif kind == "source":
                content = _json([node["columns"], node["config"].get("meta")], words=True)
                add(kind, f"{node['source_name']}.{name}", node["original_file_path"], content)
                texts.append(_json(node.get("unrendered_config")))
            else:
                rule = self.snapshot_rule(key) if kind == "snapshot" else ""
                add(kind, name, node["original_file_path"], plain(node["raw_code"]) + rule)
                texts.append(node["raw_code"])
        for key in self.macros_behind(nodes):
            macro = self.manifest["macros"][key]
            add("macro", macro["name"], macro["original_file_path"], plain(macro["macro_sql"]))
            texts.append(macro["macro_sql"])
        for kind, name, file, content in self.named_in(texts):
            add(kind, name, file, content)
        return sorted(nodes_by_key.values())

    def named_in(self, texts: list[str]) -> Iterator[tuple[str, str, str, str]]:
        """The variables that texts name, those of dbt and those of the environment."""
        names = {n for text in texts for n in VARIABLE.findall(text)}
        if any(map(_SOME_VARIABLE.search, texts)):  # which one is told when it runs
            names |= self._variables.keys()
        for name in sorted(names - _PLACES):
            value, file = self.variable(name)
            yield "var", name, file, _json(value)
        for name in sorted({n for text in texts for n in ENVIRONMENT.findall(text)}):
            yield "env", name, "the environment", str(os.environ.get(name))

    def macros_behind(self, nodes: Iterable[str]) -> list[str]:
        """The ids of the macros of this project and its packages that nodes call, at any depth.

        Those that stand in the place of a macro of dbt's, which dispatches to them, are among them.
        """
        waiting = [m for key in nodes for m in _depends(self.nodes[key], "macros")]
        macros: set[str] = set()
        while waiting:
            key = waiting.pop()
            macro = self.manifest["macros"].get(key)
            if key in macros or not macro:
                continue
            macros.add(key)
            waiting += _depends(macro, "macros") if _is_ours(macro) else self._calls[key]
        return self._own(macros)

    def called_by(self, texts: Iterable[str], *, on_any_engine: bool = False) -> list[str]:
        """The ids of the macros of this project and its packages that texts call, at any depth.

        Args:
            texts: SQL with Jinja.
            on_any_engine: with what a call is dispatched to on other engines than this one.
        """
        called_in = self._called_on_any if on_any_engine else self._called_in
        calls = self._calls_on_any if on_any_engine else self._calls
        waiting = [key for text in texts for key in called_in(text)]
        macros: set[str] = set()
        while waiting:
            key = waiting.pop()
            if key not in macros:
                macros.add(key)
                waiting += calls[key]
        return self._own(macros)

    def _own(self, macros: Iterable[str]) -> list[str]:
        return sorted(key for key in macros if _is_ours(self.manifest["macros"][key]))

    @cached_property
    def operations(self) -> list[dict[str, Any]]:
        """The hooks of the project and its packages, which run before and after all models."""
        nodes = self.manifest["nodes"].values()
        found = [node for node in nodes if node["resource_type"] == "operation"]
        return sorted(found, key=lambda node: (node["package_name"], node["name"]))

    @cached_property
    def _calls(self) -> _Calls:
        return _Calls(self._called_in, self.manifest["macros"])

    @cached_property
    def _calls_on_any(self) -> _Calls:
        return _Calls(self._called_on_any, self.manifest["macros"])

    def _called_in(self, text: str) -> list[str]:
        """The ids of the macros that a text names, each by every adapter that may answer to it."""
        names = sorted(_called(text))
        return [key for name in names for key in self._macros_by_name.get(name, ())]

    def _called_on_any(self, text: str) -> list[str]:
        """The ids of the macros that a text names, as any engine has them; dbt's own aside."""
        return [key for name in sorted(_called(text)) for key in self._own_by_stem.get(name, ())]

    @cached_property
    def _own_by_stem(self) -> dict[str, list[str]]:
        """The ids of macros, but dbt's, by name and by that without the engine before it."""
        by_stem: dict[str, list[str]] = {}
        for key in self._own(self.manifest["macros"]):
            name = self.manifest["macros"][key]["name"]
            for each in {name, name.partition("__")[2]}:
                by_stem.setdefault(each, []).append(key)
        return by_stem

    @cached_property
    def _macros_by_name(self) -> dict[str, list[str]]:
        """The ids of macros by name, with and without the adapter before it or behind it."""
        adapter = self.manifest["metadata"].get("adapter_type") or ""
        by_name: dict[str, list[str]] = {}
        for key, macro in self.manifest["macros"].items():
            name = macro["name"]
            names = {name}
            for own in (adapter, "default"):
                names |= {name.removeprefix(f"{own}__"), name.removesuffix(f"_{own}")}
            for each in names:
                by_name.setdefault(each, []).append(key)
        return by_name

    def variable(self, name: str) -> tuple[Any, str]:
        """The value of a variable, and the file that sets it."""
        variables, file = self._variables, "dbt_project.yml"
        if self._root and (self._root / "vars.yml").exists():
            file = "vars.yml"
        for scope in (
            variables,
            *(value for value in variables.values() if isinstance(value, dict)),
        ):
            if name in scope:
                return scope[name], file
        return None, file

    def seed_hash(self, key: str) -> str:
        """The hash of a seed's file; line ends do not count."""
        node = self.nodes[key]
        places = [self._root] if self._root else []
        for place in places:
            path = place / node["original_file_path"]
            if path.exists():
                content = path.read_bytes().replace(b"\r\n", b"\n").rstrip(b"\n")
                return hashlib.sha256(content).hexdigest()
        return str(node["checksum"]["checksum"])

    def snapshot_rule(self, key: str) -> str:
        """How a snapshot decides that a row changed."""
        config = self.nodes[key]["config"]
        return _json({name: config.get(name) for name in _SNAPSHOT})


class _Calls(dict[str, list[str]]):
    """The ids of the macros that each macro calls, worked out when they are asked for."""

    def __init__(self, called_in: Callable[[str], list[str]], macros: dict[str, Any]) -> None:
        super().__init__()
        self._called_in, self._macros = called_in, macros

    def __missing__(self, key: str) -> list[str]:
        self[key] = self._called_in(self._macros[key]["macro_sql"])
        return self[key]


def _called(text: str) -> set[str]:
    calls = _CALLED.findall(text)
    return {name for name, _ in calls} | {given for name, given in calls if name == "dispatch"}


def _is_ours(macro: dict[str, Any]) -> bool:
    return macro["package_name"] not in NOT_OURS


def plain(text: str) -> str:
    """A text without comments and layout."""
    return " ".join(_COMMENTS.sub(" ", text).split())


def _depends(node: dict[str, Any], on: str) -> list[str]:
    return list((node.get("depends_on") or {}).get(on) or [])


def _without_words(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_words(v) for k, v in value.items() if k not in _WORDS}
    if isinstance(value, list):
        return [_without_words(item) for item in value]
    return value


def _json(value: Any, *, words: bool = False) -> str:
    if words:
        value = [
            {
                name: {"data_type": c.get("data_type"), "meta": (c.get("config") or {}).get("meta")}
                for name, c in value[0].items()
            },
            value[1],
        ]
    return json.dumps(value, sort_keys=True, default=str)
