"""A version's frozen SQL, brought to run on the data there are now.

Its leaves are looked up anew: a source where it lies today, a seed if its file is the same, a
snapshot if it is made the same way. What is gone is named, and the ledger answers in its place.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError, UnknownNameError, WarehouseError
from cadran.governance.expand import whole
from cadran.governed import TIME
from cadran.rewrite import faster

if TYPE_CHECKING:
    from cadran.governance.meaning import Definition, Question
    from cadran.layer import Layer
    from cadran.query import Query
    from cadran.result import Result

_LEAF = re.compile(r'"(source|seed|snapshot|python|model)"\."((?:[^"]|"")+)"\."((?:[^"]|"")+)"')
_DIALECT = "duckdb"


class GoneError(WarehouseError):
    """Something that a frozen version reads is no longer there."""


def sql_of(layer: Layer, definition: Definition, question: Query) -> str:
    """The SQL that answers a question by a frozen definition.

    Args:
        layer: tells where sources and seeds are now.
        definition: what the KPI meant.
        question: one KPI, by one grain of its card then and at most one dimension.

    Raises:
        QueryError: the version was not frozen for such a question.
        GoneError: something that it reads is gone.
    """
    asked, grain = _asked(definition, question)
    # Filters and ranges are over whole periods and the dimension in the question, so they hold
    # outside of it as they would within.
    columns = [f"{TIME}__{grain}", *asked.dimensions]
    sql = faster(resolved(layer, whole(asked.at(grain), definition.steps)), _DIALECT)
    conditions = _conditions(question, columns, grain)
    parts = [f"select * from (\n{sql}\n) as answer"]
    if conditions:
        parts.append("where " + " and ".join(conditions))
    order = [_ordered(item, [*columns, definition.kpi]) for item in question.order_by]
    if order or question.ordered:
        parts.append("order by " + ", ".join(order or [f'"{c}" nulls last' for c in columns]))
    if question.limit is not None:
        parts.append(f"limit {question.limit}")
    return "\n".join(parts)


def resolved(layer: Layer, sql: str) -> str:
    """Expanded SQL with each leaf where it is now.

    Raises:
        GoneError: a leaf is gone.
    """
    places = Places(layer)
    return _LEAF.sub(lambda found: places.of(*found.groups()), sql)


class Places:
    """Where the leaves of frozen SQL are now."""

    def __init__(self, layer: Layer) -> None:
        """Take the layer whose manifest of the last build knows it."""
        self._layer = layer
        self._manifest = layer.project.dbt_manifest
        self._root = layer.project.root

    def of(self, kind: str, group: str, name: str) -> str:
        """The relation or reader that stands for a leaf.

        Raises:
            GoneError: there is none.
        """
        found = self._source(group, name) if kind == "source" else self._relation(kind, group, name)
        if found is None:
            shown = f"{group}.{name}" if kind in ("source", "model") else name
            raise GoneError(f"The {kind} {shown}, which the frozen version reads, is gone.")
        return found

    def _source(self, group: str, name: str) -> str | None:
        keys = [
            key
            for key, source in self._manifest["sources"].items()
            if (source["source_name"], source["name"]) == (group, name)
        ]
        if not keys:
            return None
        reader = re.compile(
            rf"read_\w+\(\s*'([^']*/{re.escape(group)}/{re.escape(name)}[./*][^']*)'[^)]*\)"
        )
        for node in self._manifest["nodes"].values():
            if keys[0] in (node.get("depends_on") or {}).get("nodes", []):
                found = reader.search(node.get("compiled_code") or self._built(node))
                if found:
                    path = Path(found[1])
                    placed = path if path.is_absolute() or not self._root else self._root / path
                    return found[0].replace(found[1], str(placed))
        return str(self._manifest["sources"][keys[0]]["relation_name"])

    def _built(self, node: dict[str, Any]) -> str:
        """The SQL of a model as it was last built: a parse takes it out of the manifest."""
        folder = self._layer.project.semantic_manifest_path.parent / "compiled"
        path = folder / node["package_name"] / node["original_file_path"]
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def _relation(self, kind: str, group: str, name: str) -> str | None:
        types = {"seed": "seed", "snapshot": "snapshot"}
        for node in self._manifest["nodes"].values():
            if node["name"] != name or node["resource_type"] != types.get(kind, "model"):
                continue
            if kind == "model" and node["package_name"] != group:
                continue
            if kind != "model" and not self._is_same(kind, group, node):
                continue
            return str(node["relation_name"])
        return None

    def _is_same(self, kind: str, mark: str, node: dict[str, Any]) -> bool:
        from cadran.governance.meaning import of

        meanings = of(self._layer)
        if kind == "seed":
            return meanings.graph.seed_hash(node["unique_id"]).startswith(mark)
        return meanings.mark_of(node["unique_id"]) == mark


def _asked(definition: Definition, question: Query) -> tuple[Question, str]:
    times = [group for group in question.group_by if group.base == TIME]
    others = tuple(group.base for group in question.group_by if group.base != TIME)
    known = [label for one in definition.questions for label in one.labels]
    if len(times) != 1 or times[0].asked_grain is None or times[0].date_part:
        raise QueryError(
            f"A version of {definition.kpi} is frozen by {TIME} at a grain: ask by one of"
            f" {', '.join(f'{TIME}__{label}' for label in known if ' ' not in label)}."
        )
    grain = times[0].asked_grain
    for one in definition.questions:
        if one.dimensions == others and grain in one.grains:
            return one, grain
    raise QueryError(
        f"This version of {definition.kpi} was frozen at its grains, by one dimension or none, and"
        f" not for '{' '.join((grain, *others))}'. Ask by one of: {', '.join(known)}."
    )


def _conditions(question: Query, columns: list[str], grain: str) -> list[str]:
    found = []
    time = f'"{columns[0]}"'
    if question.start is not None:
        found.append(f"{time} >= date_trunc('{grain}', timestamp '{question.start}')")
    if question.end is not None:
        found.append(f"{time} <= timestamp '{question.end}'")
    for text in question.where:
        from cadran.where import names_in

        named = names_in(text)
        outside = [n.base for n in named.dimensions if n.base not in columns]
        if outside or not named.is_template:
            raise QueryError(
                f"A frozen version can be filtered by what it is grouped by, and not by {text!r}."
            )
        found.append(
            "(" + re.sub(r"\{\{.*?\}\}", lambda _: f'"{named.dimensions[0].base}"', text) + ")"
        )
    return found


def _ordered(item: str, columns: list[str]) -> str:
    name = item.removeprefix("-")
    if name not in columns:
        raise QueryError(
            f"There is no column '{name}' to order by; there are {', '.join(columns)}."
        )
    return f'"{name}"{" desc" if item.startswith("-") else ""} nulls last'


def answer(layer: Layer, question: Query, version: int) -> Result:
    """The answer by an old version of a KPI: from its frozen SQL, else from the ledger.

    Raises:
        QueryError: it asks for several KPIs, or for what the version was not frozen for.
        UnknownNameError: the KPI has no such version.
        WarehouseError: something the version reads is gone, and nothing of it was published.
    """
    from cadran.governance.versions import records
    from cadran.result import Result, arranged, dates

    if len(question.metrics) != 1:
        raise QueryError("A version is that of one KPI: ask for one at a time.")
    kpi, root = question.metrics[0], layer.project.root
    if root is None:
        raise QueryError("Versions stand in a project's folder: open the project, not a manifest.")
    found = {record.version: record for record in records(root, kpi)}
    if version not in found:
        raise UnknownNameError("version", str(version), map(str, found), where=f" of {kpi}")
    from cadran.filters import Fields, templated

    fields = Fields.of(layer.project.semantic_manifest)
    question = replace(question, where=tuple(templated(t, fields) for t in question.where))
    definition = found[version].definition
    asked, grain = _asked(definition, question)
    note = f"{kpi} by its version {version}, from its frozen SQL"
    try:
        sql = sql_of(layer, definition, question)
        table = layer.warehouse.arrow(sql, dates(question))
    except WarehouseError as gone:
        sql = _from_ledger(layer, kpi, version, grain, asked.dimensions, question, gone)
        table = layer.warehouse.arrow(sql, dates(question))
        note = f"{kpi} by its version {version}, as it was published: {gone}"
    cards = {kpi: replace(layer.card(kpi), version=version)}
    result = Result(arranged(table, question), sql, question, cards, governed=True)
    result.note = note
    return result


def _from_ledger(  # noqa: PLR0913, PLR0917 - it is one question, taken apart
    layer: Layer, kpi: str, version: int, grain: str, dimensions: tuple[str, ...],
    question: Query, gone: WarehouseError,
) -> str:  # fmt: skip
    """What the ledger holds of a version, the last published of each period."""
    names = ",".join(sorted(dimensions))
    is_of = f"kpi = '{kpi}' and version = {version}"
    try:
        types = layer.warehouse.arrow(
            f"select value_type from governance.kpi_ledger_batches where {is_of}"
            " order by batch desc limit 1"
        ).to_pylist()
    except WarehouseError:
        types = []
    if not types:
        raise GoneError(
            f"{gone} Nothing of version {version} of {kpi} was published either."
        ) from gone
    kind = {"int64": "bigint"}.get(types[0]["value_type"], types[0]["value_type"])
    columns = [f"{TIME}__{grain}", *dimensions]
    members = [
        f'json_extract_string(dimensions, \'$."{name}"\') as "{name}"' for name in dimensions
    ]
    period = "period" if grain in ("minute", "hour") else "cast(period as date)"
    shown = ", ".join([f"{period} as {columns[0]}", *members, f'cast(value as {kind}) as "{kpi}"'])
    conditions = _conditions(question, columns, grain)
    limit = "" if question.limit is None else f" limit {question.limit}"
    return (
        f"select * from (select {shown} from governance.kpi_ledger where {is_of}"
        f" and grain = '{grain}' and dimension_set = '{names}'"
        " qualify row_number() over (partition by period, dimensions"
        " order by batch desc, row desc) = 1) as answer"
        f"{' where ' + ' and '.join(conditions) if conditions else ''}"
        f" order by {', '.join(map(str, range(1, len(columns) + 1)))}{limit}"
    )
