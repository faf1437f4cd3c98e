"""Answers by an old version of a KPI, on the data there are now.

Asked as it was frozen, by a grain and one dimension or none, a version runs its frozen SQL. Asked
otherwise (a filter, a range, two dimensions), MetricFlow compiles the question from the frozen
definitions, over the frozen models. When its sources are gone, the ledger answers and the answer
says so.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.core.compiler.optimizer import faster
from cadran.core.ledger.reader import History, Reader, has_ledger, versioned
from cadran.core.result import Result, arranged, dates
from cadran.core.semantics.governed import TIME, govern
from cadran.core.versions.definition import DIALECT
from cadran.core.versions.expand import over, with_steps
from cadran.core.versions.questions import SCHEMA, frozen_model
from cadran.core.versions.record import records
from cadran.core.versions.side_effects import UNREPEATED
from cadran.core.warehouse import dialects
from cadran.errors import QueryError, UnknownNameError, WarehouseError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    import pyarrow as pa

    from cadran.core.project.artifacts import Project
    from cadran.core.project.cards import Card
    from cadran.core.query.request import Query
    from cadran.core.semantics.model import SemanticModel
    from cadran.core.versions.definition import CompiledQuery
    from cadran.core.versions.meaning import SemanticFingerprints
    from cadran.core.versions.record import VersionRecord
    from cadran.core.warehouse import Warehouse


_LEAF = re.compile(r'"(source|seed|snapshot|python|model)"\."((?:[^"]|"")+)"\."((?:[^"]|"")+)"')


class GoneError(WarehouseError):
    """Something that a frozen version reads is no longer there."""


class Sources:
    """Finds the leaves of expanded SQL where they are now, by the manifest of the last dbt run."""

    def __init__(
        self, project: Project, warehouse: Warehouse, meanings: SemanticFingerprints
    ) -> None:
        """Take the project, the warehouse with its data, and what marks its snapshots and seeds."""
        self._project, self._warehouse, self._meanings = project, warehouse, meanings
        self._root = project.root

    @cached_property
    def _manifest(self) -> dict[str, Any]:
        return self._project.dbt_manifest

    def placed(self, sql: str) -> str:
        """Expanded SQL with each leaf where it is now.

        Raises:
            GoneError: a leaf is gone, or the warehouse does not run such SQL.
        """
        if self._warehouse.dialect != DIALECT:
            raise GoneError(
                f"Versions are kept as SQL of {DIALECT}, which {self._warehouse.dialect} does not"
                f" run: ask and compare them on a build by {DIALECT}."
            )
        places: dict[str, str] = {}
        for leaf in _LEAF.finditer(sql):
            if leaf[0] not in places:
                places[leaf[0]] = self.of(*leaf.groups())
        return _LEAF.sub(lambda leaf: places[leaf[0]], sql)

    def of(self, kind: str, group: str, name: str) -> str:
        """The relation or reader that stands for a leaf."""
        relation = (
            self._source(group, name) if kind == "source" else self._relation(kind, group, name)
        )
        if relation is None:
            label = f"{group}.{name}" if kind in ("source", "model") else name
            raise GoneError(f"The {kind} {label}, which the frozen version reads, is gone.")
        return relation

    def _source(self, group: str, name: str) -> str | None:
        matches = [
            (key, source)
            for key, source in self._manifest["sources"].items()
            if (source["source_name"], source["name"]) == (group, name)
        ]
        if not matches:
            return None
        key, source = matches[0]
        rows = self._reader(key, group, name) or str(source["relation_name"])
        try:
            present = self._warehouse.column_types(f"select * from {rows}")
        except WarehouseError:
            return None
        # As staging has it: a column that a contract does not require may be absent.
        is_contract = "key" in _meta(source)
        columns = {name.lower() for name in present}
        absent = [
            f"null as {column['name']}"
            for column in source["columns"].values()
            if is_contract
            and column["name"].lower() not in columns
            and not _meta(column).get("required")
        ]
        if not absent:
            return rows
        return f"(select * from {rows} union all by name select {', '.join(absent)} where false)"

    def _reader(self, key: str, group: str, name: str) -> str | None:
        """The call by which the last build read the files of a source; None for a table."""
        reader = re.compile(
            rf"read_\w+\(\s*'([^']*/{re.escape(group)}/{re.escape(name)}[./*][^']*)'[^)]*\)"
        )
        for node in self._manifest["nodes"].values():
            if key not in (node.get("depends_on") or {}).get("nodes", []):
                continue
            match = reader.search(node.get("compiled_code") or self._built(node))
            if match:
                path = Path(match[1])
                placed = path if path.is_absolute() or not self._root else self._root / path
                return match[0].replace(match[1], str(placed))
        return None

    def _built(self, node: dict[str, Any]) -> str:
        """The SQL of a model as it was last built: a parse takes it out of the manifest."""
        folder = self._project.semantic_manifest_path.parent / "compiled"
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
        if kind == "seed":
            return self._meanings.parsed.seed_hash(node["unique_id"]).startswith(mark)
        return self._meanings.mark_of(node["unique_id"]) == mark


def _meta(item: dict[str, Any]) -> dict[str, Any]:
    return (item.get("config") or {}).get("meta") or {}


_STEP = re.compile(r'"(\w+____\w+)"')


class Versions:
    """The old versions of a project's KPIs; each is read once."""

    def __init__(
        self, model: SemanticModel, warehouse: Warehouse, meanings: SemanticFingerprints
    ) -> None:
        """Take the definitions of now, the warehouse with the data, and what the KPIs mean."""
        self._model, self._warehouse = model, warehouse
        self._sources = Sources(model.project, warehouse, meanings)
        self._frozen: dict[tuple[str, int], Frozen] = {}

    def placed(self, sql: str) -> str:
        """Expanded SQL with each leaf where it is now.

        Raises:
            GoneError: a leaf is gone.
        """
        return self._sources.placed(sql)

    def answer(
        self,
        query: Query,
        version: int,
        *,
        known_at: str | dt.date | None = None,
        view: str | None = None,
        reach: Callable[[str], dt.date | None] | None = None,
    ) -> Result:
        """The answer by an old version of a KPI: from its frozen SQL, else from the ledger.

        Args:
            query: one KPI, at grains and by dimensions that its card then had.
            version: the number of the version.
            known_at: what the ledger held of the version at this instant.
            view: None, or "published" for what the ledger holds of the version.
            reach: tells until which day the data of a metric are whole.

        Raises:
            QueryError: it asks for several KPIs, or for what the version cannot tell.
            NotGovernedError: it asks for a grain or dimension that was not on the card then.
            UnknownNameError: the KPI has no such version.
            WarehouseError: something the version reads is gone, and nothing of it was published.
        """
        if view not in (None, "published"):
            raise QueryError(f"A version is one meaning: with version, view cannot be '{view}'.")
        if self._warehouse.dialect == dialects.SPARK:
            raise QueryError(
                "A version is answered by its frozen SQL, which is DuckDB's and which Spark cannot"
                " read: ask it where the project is built on DuckDB, or leave version out."
            )
        frozen = self.of(query, version)
        query = frozen.governed(query)
        cards, reader = {frozen.kpi: frozen.card}, None
        by = f"{frozen.kpi} by its version {version}"
        if known_at is not None or view is not None:
            reader = OfVersion(self._warehouse, query, version, known_at)
            sql, note = reader.sql(), f"{by}, as it was published"
            table = self._warehouse.ledger.arrow(sql, dates(query))
        else:
            try:
                sql, note = frozen.sql(query), f"{by}, from its frozen SQL{frozen.left_out}"
                table = frozen.run(sql, query)
            except GoneError as gone:
                reader = _published(self._warehouse, query, version, gone)
                sql, note = reader.sql(), f"{by}, as it was published: {gone}"
                table = self._warehouse.ledger.arrow(sql, dates(query))
        return Result(
            arranged(table, query), sql, query, cards, governed=True, note=note,
            history=History(
                self._warehouse, query, cards, partial(versioned, self._warehouse), reader
            ),
            reach=None if reader else reach,
        )  # fmt: skip

    def of(self, query: Query, version: int) -> Frozen:
        """A version of the one KPI that a question asks.

        Raises:
            QueryError: it asks for several KPIs, or there is no project's folder.
            UnknownNameError: the KPI has no such version.
        """
        if len(query.metrics) != 1:
            raise QueryError("A version is that of one KPI: ask for one at a time.")
        kpi, project = query.metrics[0], self._model.project
        if project.root is None:
            raise QueryError(
                "Versions stand in a project's folder: open the project, not a manifest."
            )
        if (kpi, version) not in self._frozen:
            history = {record.version: record for record in records(project.root, kpi)}
            if not history:
                self._model.card(kpi)  # an unknown name is told from a KPI without records
            if version not in history:
                numbers = map(str, history)
                raise UnknownNameError("version", str(version), numbers, where=f" of {kpi}")
            self._frozen[kpi, version] = Frozen(
                history[version], project, self._warehouse, self._sources
            )
        return self._frozen[kpi, version]


class Frozen:
    """One version of a KPI, ready to answer."""

    def __init__(
        self, record: VersionRecord, project: Project, warehouse: Warehouse, leaves: Sources
    ) -> None:
        """Take the record of the version, and where the data are."""
        self._record, self._project = record, project
        self._warehouse, self._sources = warehouse, leaves
        self.kpi = record.kpi

    @cached_property
    def _model(self) -> SemanticModel:
        """MetricFlow's definitions of then."""
        return frozen_model(self._project, self._record.definition.semantics)

    @cached_property
    def card(self) -> Card:
        """The card as it was then."""
        return replace(self._model.card(self.kpi), version=self._record.version)

    @property
    def left_out(self) -> str:
        """What changed rows then and stands in no SELECT, as the end of a note; mostly empty."""
        effects = self._record.definition.side_effects or {}
        named = [name for name in effects if name.startswith(UNREPEATED)]
        return f", which does not repeat the {', the '.join(named)}" if named else ""

    def governed(self, query: Query) -> Query:
        """The question with its filters as templates, as the card of then lets it stand.

        Conditions on the rows that whoever asks may see are filters like others from here on.

        Raises:
            NotGovernedError: a grain or dimension was not on the card then.
            QueryError: a filter is none.
        """
        model, known = self._model, partial(self._model.dimensions, governed=False)
        ruled = replace(query, where=model.conditions(query.where))
        ruled = govern(ruled, [self.card], known)
        return replace(ruled, where=(*ruled.where, *model.conditions(query.confined)))

    def sql(self, query: Query) -> str:
        """The SQL that answers a governed question, on the data of now.

        Raises:
            GoneError: something that the version reads is gone.
            QueryError: it was not frozen for such a question.
        """
        definition = self._record.definition
        if not definition.runs:
            raise GoneError(f"It was kept as text, which cannot be run ({definition.note}).")
        recorded = self._recorded(query)
        if recorded is not None:
            return self._recorded_sql(*recorded, query)
        statement = self._model.plan(query)[0].replace(SCHEMA, "")
        lacking = sorted(set(_STEP.findall(statement)) - definition.steps.keys())
        if lacking:
            raise QueryError(
                f"{self.kpi} version {self._record.version} cannot be asked so: the question reads"
                f" {', '.join(name.rpartition('____')[2] for name in lacking)}, which its"
                " frozen SQL does not."
            )
        return self._sources.placed(over(statement, definition.steps))

    def run(self, sql: str, query: Query) -> pa.Table:
        """The rows of the version's SQL.

        Raises:
            GoneError: it fails because what the version reads is not what it was.
            WarehouseError: it fails for another reason.
        """
        try:
            return self._warehouse.arrow(sql, dates(query))
        except WarehouseError as error:
            self._warehouse.arrow("select 1 as one")  # a warehouse that cannot be read at all
            definition = self._record.definition
            plain = self._sources.placed(with_steps(
                definition.questions[0].at(definition.questions[0].grains[0]), definition.steps
            ))  # fmt: skip
            try:
                self._warehouse.column_types(plain)
            except WarehouseError as cause:
                raise GoneError(
                    f"What the frozen version reads is not what it was: {cause}"
                ) from cause
            raise error from None

    def _recorded(self, query: Query) -> tuple[CompiledQuery, str] | None:
        """The frozen question that this one is, but for order and limit; None without."""
        if query.where or query.start or query.end or query.min_max_only:
            return None
        times = [group for group in query.group_by if group.base == TIME]
        dimensions = tuple(group.base for group in query.group_by if group.base != TIME)
        grain = times[0].asked_grain if len(times) == 1 else None
        for recorded in self._record.definition.questions:
            if recorded.dimensions == dimensions and grain in recorded.grains:
                return recorded, str(grain)
        return None

    def _recorded_sql(self, recorded: CompiledQuery, grain: str, query: Query) -> str:
        columns = [group.column for group in query.group_by]
        by_default = [f"{TIME}__{grain}", *recorded.dimensions]
        order = query.order_by or (tuple(by_default) if query.ordered else ())
        for item in order:
            if item.removeprefix("-") not in (*columns, self.kpi):
                raise UnknownNameError(
                    "column to order by", item, [*columns, self.kpi], where=" in this question"
                )
        statement = with_steps(recorded.at(grain), self._record.definition.steps)
        names = ", ".join(f'"{name}"' for name in (*columns, self.kpi))
        parts = [f"select {names} from (\n{faster(statement, self._project.dialect)}\n) as answer"]
        if order:
            parts.append("order by " + ", ".join(map(_ordered, order)))
        if query.limit is not None:
            parts.append(f"limit {query.limit}")
        return self._sources.placed("\n".join(parts))


class OfVersion(Reader):
    """Reads from the ledger what was published of one version."""

    def __init__(
        self,
        warehouse: Warehouse,
        query: Query,
        version: int,
        known_at: str | dt.date | None = None,
    ) -> None:
        """Take a governed question.

        Raises:
            QueryError: the ledger cannot answer it; the message says what it can.
        """
        super().__init__(warehouse, query, known_at, None)
        self._version = version

    @property
    def cutoff(self) -> str:
        """A condition: the batches of the version that were published by the instant asked."""
        return f"version = {self._version} and {super().cutoff}"


def _published(warehouse: Warehouse, query: Query, version: int, error: GoneError) -> OfVersion:
    if not has_ledger(warehouse):
        raise GoneError(f"{error} Nothing was published either.") from error
    try:
        reader = OfVersion(warehouse, query, version)
        reader.sql()
    except QueryError as unpublished:
        raise GoneError(f"{error} {unpublished}") from error
    return reader


def _ordered(item: str) -> str:
    return f'"{item.removeprefix("-")}"{" desc" if item.startswith("-") else ""} nulls last'
