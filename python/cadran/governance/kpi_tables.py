"""KPI tables: each saved query becomes a dbt model, so that plain `dbt build` materialises it.

Open-source dbt runs no exports, and a model cannot `ref()` a metric. Here MetricFlow compiles the
saved query, physical names become `ref()`, and the additive parts of every ratio stand beside it,
so that a BI tool may sum those columns and must not sum the others. Each row of a table by a period
says whether that period is complete. A saved query chooses how it is materialised:

    saved_queries:
      - name: kpi_daily_commerce
        config:
          meta:
            table: {materialized: incremental}   # table | view | incremental

One that is marked `table: {preaggregate: true}` becomes a pre-aggregate instead, which questions
are answered from by themselves: see `cadran.core.semantics.preaggregates`.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cadran.core import reach
from cadran.core.project import generated
from cadran.core.query.request import DAY_OR_COARSER, ask
from cadran.core.result import COMPLETE
from cadran.core.semantics import preaggregates
from cadran.core.semantics.metrics import ADDITIVE, NOT_ADDITIVE
from cadran.errors import CardError, ProjectError
from cadran.formats import strict_yaml

if TYPE_CHECKING:
    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.core.query.request import Query

FOLDER = Path("models") / "kpis"
PREAGGREGATES = Path("models") / preaggregates.FOLDER
# What engines write in different words, as the macros of it.
_PORTABLE = (
    (re.compile(r"\bDOUBLE\b(?: PRECISION\b)?", re.IGNORECASE), "{{ cadran.double() }}"),
    (re.compile(r"\b(?:GEN_RANDOM_)?UUID\(\)", re.IGNORECASE), "{{ cadran.uuid() }}"),
    (re.compile(r"\bVARCHAR\b", re.IGNORECASE), "{{ cadran.text() }}"),
)
MATERIALIZATIONS = ("table", "view", "incremental")
INTEGERS = {"HUGEINT", "UHUGEINT", "BIGINT", "UBIGINT", "INTEGER", "SMALLINT", "TINYINT"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a KPI table: its name, type, meaning and whether it may be summed."""

    name: str
    data_type: str
    description: str
    additivity: str | None
    kpi: str | None = None
    part_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KpiTable:
    """One generated model: where it goes, its SQL and its documentation."""

    path: Path
    sql: str
    documentation: str


def write(layer: Layer, project_dir: Path | str = ".") -> list[Path]:
    """Write every KPI table's model and documentation; returns the files that changed.

    Args:
        layer: the layer of a built project; the types of columns are read from its warehouse.
        project_dir: the dbt project that receives `models/kpis/`.

    Raises:
        ProjectError: the project is not built.
        CardError: a saved query asks for a materialisation that does not exist.
    """
    root = Path(project_dir)
    changed = []
    expected = _expected_files(layer, root, as_built=True)
    for path, text in expected.items():
        if not path.exists() or not generated.is_same(path.read_text(encoding="utf-8"), text):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    for path in _stale(layer, root, expected):
        path.unlink()
        changed.append(path)
    return changed


def differences(
    layer: Layer, project_dir: Path | str = ".", *, as_built: bool = True
) -> dict[Path, str]:
    """What the generated models say that their definitions no longer say, as unified diffs by file.

    Args:
        layer: the layer of a project.
        project_dir: the dbt project that holds `models/kpis/`.
        as_built: read the types of columns from the warehouse; else those that stand in the files
            are believed, which needs no built project.
    """
    root = Path(project_dir)
    expected = _expected_files(layer, root, as_built=as_built)
    messages = {}
    for path, text in expected.items():
        present = path.read_text(encoding="utf-8") if path.exists() else ""
        if not generated.is_same(present, text):
            messages[path.relative_to(root)] = _difference(path.relative_to(root), present, text)
    for path in _stale(layer, root, expected):
        text = path.read_text(encoding="utf-8")
        messages[path.relative_to(root)] = _difference(path.relative_to(root), text, "")
    return messages


def _difference(name: Path, present: str, expected: str) -> str:
    lines = difflib.unified_diff(
        present.splitlines(), expected.splitlines(), f"{name} (in the project)",
        f"{name} (from the definition)", lineterm="",
    )  # fmt: skip
    return "\n".join(lines)


def _expected_files(layer: Layer, root: Path, *, as_built: bool) -> dict[Path, str]:
    files: dict[Path, str] = {}
    for table in tables(layer, None if as_built else root):
        files[root / table.path.with_suffix(".sql")] = table.sql
        files[root / table.path.with_suffix(".yml")] = table.documentation
    return files


def _stale(layer: Layer, root: Path, expected: dict[Path, str]) -> list[Path]:
    """Files whose saved query is gone; what is switched off stays as it is."""
    present = {
        path
        for folder in (FOLDER, PREAGGREGATES)
        for ending in ("sql", "yml")
        for path in (root / folder).rglob(f"*.{ending}")
    }
    switched_off = layer.project.switched_off("saved_query")
    return sorted(path for path in present - set(expected) if path.stem not in switched_off)


def tables(layer: Layer, root: Path | None = None) -> list[KpiTable]:
    """One model per saved query of the project itself, in the order of their names.

    Args:
        layer: the layer of a project.
        root: the project whose files say the types of columns; by default the warehouse does.
    """
    dbt = layer.project.dbt_manifest
    own = dbt["metadata"]["project_name"]
    saved = [query for query in dbt["saved_queries"].values() if query["package_name"] == own]
    return [
        _preaggregate(layer, query, root)
        if preaggregates.is_marked(query)
        else _kpi_table(layer, dbt, query, root)
        for query in sorted(saved, key=lambda q: q["name"])
    ]


def _preaggregate(layer: Layer, saved: dict[str, Any], root: Path | None) -> KpiTable:
    """The model of a pre-aggregate."""
    options = set(saved["config"]["meta"]["table"]) - {"preaggregate"}
    if options or saved["config"]["meta"]["table"]["preaggregate"] is not True:
        raise CardError(
            f"{saved['original_file_path']}: saved query '{saved['name']}', config.meta.table:"
            " a pre-aggregate is `{preaggregate: true}` and nothing else."
        )
    item = preaggregates.of(layer, saved)
    path = PREAGGREGATES / Path(saved["path"]).parent / item.name
    names = [item.period, *item.dimensions]
    sums = [component.column for component in item.components]
    file = root / path.with_suffix(".yml") if root else None
    statement = preaggregates.sql_of(layer, item)
    types = _types(layer, statement, [*names, *sums, preaggregates.ROWS], file)
    leaf = sums[0]
    described = {d["name"]: d["description"] for d in layer.dimensions(leaf, governed=False)}
    columns: list[dict[str, Any]] = [
        {"name": item.period, "description": f"Start of the {item.grain}."},
        *(
            {"name": name, "description": " ".join((described.get(name) or name).split())}
            for name in item.dimensions
        ),
        *(
            {
                "name": component.column,
                "description": _words(layer, component.column),
                "config": {"meta": {"aggregate": component.agg}},
            }
            for component in item.components
        ),
        {
            "name": preaggregates.ROWS,
            "description": f"Rows of {item.fact.model} that are in the group.",
            "data_tests": ["not_null"],
        },
    ]
    for column in columns:
        column["data_type"] = types[column["name"]].lower()
    entry: dict[str, Any] = {
        "name": item.name,
        "description": " ".join((saved.get("description") or f"Saved query {item.name}.").split())
        + f" One row per {', '.join(names)}; questions that it answers exactly are read from it.",
        "columns": columns,
    }
    macros = layer.project.dbt_manifest["macros"]
    tests: list[dict[str, Any]] = []
    if "macro.cadran.test_unique_combination" in macros:
        tests.append({"cadran.unique_combination": {"arguments": {"columns": names}}})
    if "macro.cadran.test_counts_rows_of" in macros:
        fact = f"ref('{_model_of(layer, item.fact.model)}')"
        tests.append({"cadran.counts_rows_of": {"arguments": {"fact": fact}}})
    if tests:
        entry["data_tests"] = tests
    return KpiTable(path, preaggregates.model_text(layer, item), _patch(entry))


def _words(layer: Layer, metric: str) -> str:
    definition = layer.metric(metric)
    return " ".join((definition["description"] or definition["label"] or metric).split())


def _model_of(layer: Layer, semantic_model: str) -> str:
    """The dbt model that a semantic model reads."""
    relation = next(
        model["node_relation"]["relation_name"]
        for model in layer.project.semantic_manifest["semantic_models"]
        if model["name"] == semantic_model
    )
    return generated.models(layer.project.dbt_manifest)[relation]


def _types(layer: Layer, sql: str, names: list[str], file: Path | None) -> dict[str, str]:
    """The type of each column, from the warehouse or as a file of documentation says."""
    if file is None:
        return layer.warehouse.column_types(sql)
    content = strict_yaml.read(file, ProjectError) if file.exists() else None
    written = ((content or {}).get("models") or [{}])[0].get("columns") or ()
    types = {str(column["name"]): str(column.get("data_type")) for column in written}
    return {name: types.get(name, "unknown") for name in names}


def _kpi_table(
    layer: Layer, dbt: dict[str, Any], saved: dict[str, Any], root: Path | None
) -> KpiTable:
    name = saved["name"]
    options = _options(saved)
    query = layer.saved_query(name)
    parts = _additive_parts(layer, query.metrics)
    metrics = [*query.metrics, *(part for part in parts if part not in query.metrics)]
    sql = layer.stable_sql(ask(metrics, query.group_by, query.where, governed=False, ordered=False))
    folder = FOLDER / Path(saved["path"]).parent
    names = [*(group.column for group in query.group_by), *metrics]
    complete = _completeness(layer, dbt, query)
    types = _types(layer, sql, names, root / folder / f"{name}.yml" if root else None)
    described = {item["name"]: item["description"] for item in layer.dimensions(query.metrics)}
    groups = {
        group.column: " ".join((described.get(group.base) or group.base).split())
        + (f" Start of the {group.asked_grain}." if group.asked_grain else "")
        for group in query.group_by
    }
    columns = [_column(layer, column, kind, parts, groups) for column, kind in types.items()]
    return KpiTable(
        path=folder / name,
        sql=_model(
            generated.with_refs(sql, layer.project.relations, dbt),
            columns,
            list(groups),
            options,
            complete,
        ),
        documentation=_documentation(
            layer, name, saved, [*columns, *([_COMPLETE] if complete else [])], list(groups)
        ),
    )


def _options(saved: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = saved["config"].get("meta", {}).get("table", {})
    unknown = set(options) - {"materialized"}
    if unknown or options.get("materialized", "table") not in MATERIALIZATIONS:
        raise CardError(
            f"{saved['original_file_path']}: saved query '{saved['name']}', config.meta.table:"
            f" {options} is not understood. Write `materialized: {' | '.join(MATERIALIZATIONS)}`."
        )
    return {"materialized": "table", **options}


def _additive_parts(layer: Layer, metrics: tuple[str, ...]) -> dict[str, list[str]]:
    """The additive building blocks of metrics that may not be summed: part -> metrics it is of."""
    parts: dict[str, list[str]] = {}
    graph = layer.metric_graph
    for metric in metrics:
        for leaf in graph.direct_leaves(metric):
            if leaf != metric and graph.is_additive(leaf):
                parts.setdefault(leaf, []).append(metric)
    return parts


def _additivity(layer: Layer, name: str) -> str:
    """How a column may be summed, where the expression does not tell it as the card has it."""
    derived = layer.metric_graph.additivity(name)
    declared = layer.card(name).additivity if layer.is_kpi(name) else NOT_ADDITIVE
    return derived or declared


def _column(
    layer: Layer, name: str, data_type: str, parts: dict[str, list[str]], groups: dict[str, str]
) -> Column:
    # The warehouse sums integers into a wider type that BI drivers cannot read.
    data_type = "bigint" if data_type in INTEGERS else data_type.lower()
    if name in groups:
        if name.rpartition("__")[2] in DAY_OR_COARSER:
            data_type = "date"
        return Column(name, data_type, groups[name], None)
    metric = layer.metric(name)
    card = metric["config"]["meta"].get("kpi")
    return Column(
        name,
        data_type,
        _words(layer, name),
        _additivity(layer, name),
        kpi=name if card else None,
        part_of=tuple(parts.get(name, ())),
    )


_COMPLETE = Column(
    COMPLETE,
    "boolean",
    "Whether the data behind all KPIs of a row reach to the end of its period.",
    additivity=None,
)


def _completeness(layer: Layer, dbt: dict[str, Any], query: Query) -> str:
    """The call that says whether the period of a row is complete; empty where rows have none."""
    if query.period is None:
        return ""
    column, grain = query.period
    models = generated.models(dbt)
    minutes: dict[tuple[str, str], int] = {}
    for metric in query.metrics:
        allowance = reach.allowance(layer, metric)
        for clock in reach.clocks(layer, metric):
            if clock.relation not in models:
                raise ProjectError(
                    f"{clock.relation}, which {metric} reads, is no model of the project"
                )
            source = models[clock.relation], clock.expr
            covered = (clock.step + allowance) // dt.timedelta(minutes=1)
            minutes[source] = min(covered, minutes.get(source, covered))
    sources = "".join(
        f"        (ref('{model}'), {json.dumps(expr)}, {covered}),\n"
        for (model, expr), covered in sorted(minutes.items())
    )
    return f"{{{{ cadran.is_complete('{column}', '{grain}', [\n{sources}    ]) }}}}"


def _model(
    sql: str, columns: list[Column], groups: list[str], options: dict[str, Any], complete: str
) -> str:
    shown = [f"    cast({c.name} as {c.data_type}) as {c.name}" for c in columns]
    casts = ",\n".join(shown + ([f"    {complete} as {COMPLETE}"] if complete else []))
    config = [f"materialized='{options['materialized']}'"]
    tail = ""
    if options["materialized"] == "incremental":
        time = next(name for name in groups if name.startswith("metric_time__"))
        config += ["incremental_strategy='replace_from'", f"event_time='{time}'"]
        tail = (
            "{% if is_incremental() -%}\n"
            f"where {time} >= {{{{ cadran.read_again_from(this, '{time}') }}}}\n"
            "{%- endif %}\n"
        )
    body = "\n".join(f"    {line}" if line else "" for line in sql.strip().splitlines())
    select = _portable(f"with answer as (\n{body}\n)\n\nselect\n{casts}\nfrom answer\n")
    return (
        "{#- Generated by `cadran tables` from a saved query; edit that, never this file. -#}\n"
        f"{{{{ config({', '.join(config)}) }}}}\n\n{select}{tail}"
    )


def _portable(sql: str) -> str:
    """A statement that every engine runs; what stands in quotes is a value and stays."""
    parts = re.split(r"('(?:[^']|'')*')", sql)
    for pattern, macro in _PORTABLE:
        parts[::2] = [pattern.sub(macro, part) for part in parts[::2]]
    return "".join(parts)


def _catalog_meta(card: Card) -> dict[str, Any]:
    """What data catalogues look for in `meta`, from the card."""
    return {"owner": card.owner.business, "unit": card.unit, "version": card.version}


def _documentation(
    layer: Layer, name: str, saved: dict[str, Any], columns: list[Column], groups: list[str]
) -> str:
    described = []
    for column in columns:
        meta: dict[str, Any] = {}
        if column.additivity:
            meta = {"additive": column.additivity == ADDITIVE, "additivity": column.additivity}
            meta |= (
                {"kpi": column.kpi, **_catalog_meta(layer.card(column.kpi))} if column.kpi else {}
            )
            meta |= {"part_of": list(column.part_of)} if column.part_of else {}
        entry: dict[str, Any] = {
            "name": column.name,
            "description": column.description,
            "data_type": column.data_type,
        }
        if meta:
            entry["config"] = {"meta": meta}
        described.append(entry)
    owners = {layer.card(c.kpi).owner.technical for c in columns if c.kpi}
    entry = {
        "name": name,
        "description": " ".join((saved.get("description") or f"Saved query {name}.").split())
        + f" One row per {', '.join(groups)}.",
        "config": {"meta": {"owner": ", ".join(sorted(owners))}},
        "columns": described,
    }
    if "macro.cadran.test_unique_combination" in layer.project.dbt_manifest["macros"]:
        test = {"cadran.unique_combination": {"arguments": {"columns": groups}}}
        entry["data_tests"] = [test]
    return _patch(entry)


def _patch(entry: dict[str, Any]) -> str:
    """The documentation of a model as a file of YAML."""
    head = "# Generated by `cadran tables`; never edited by hand.\n"
    text = yaml.safe_dump({"models": [entry]}, sort_keys=False, allow_unicode=True, width=100)
    return head + text
