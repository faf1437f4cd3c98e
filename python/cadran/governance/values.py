"""The values of KPIs as they are now, with what stands behind them: all by `Layer.query`.

KPIs that are made of the same facts are asked together, so that a fact is read once for all of
them. Asked together they are what they are alone: each keeps its own aggregates, and a period that
one of them does not have is empty in its column. Where that might not hold (values filled where
nothing is, sums over a window, offsets, conversions), a KPI is asked by itself.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from importlib.metadata import version as installed
from typing import TYPE_CHECKING, Any

from cadran.core.compiler.plan_cache import PlanCache, key_of
from cadran.core.components import measuring
from cadran.core.project.artifacts import Project
from cadran.core.project.dbt import fingerprint
from cadran.core.query.request import ask
from cadran.core.semantics.metrics import Components, fills_gaps
from cadran.core.versions import compare
from cadran.core.versions import record as version_file
from cadran.core.versions import record as versions
from cadran.core.versions.definition import DIALECT, FORM
from cadran.core.versions.record import VersionRecord, text_of
from cadran.errors import CadranError, CardError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from cadran.core.layer import Layer
    from cadran.core.ledger.settings import Publication
    from cadran.core.reach import Reach


@dataclass(frozen=True, slots=True)
class Measured:
    """The values of one KPI at one grain and by one set of dimensions.

    Attributes:
        table: the time column, the dimensions, the KPI, and those of its parts that exist.
    """

    grain: str
    dimensions: tuple[str, ...]
    table: pa.Table
    kpi: str
    components: Components

    @property
    def time(self) -> str:
        """The name of the time column."""
        return f"metric_time__{self.grain}"


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """What is asked at once: some KPIs at one grain and by one set of dimensions."""

    grain: str
    dimensions: tuple[str, ...]
    kpis: tuple[str, ...]


class Measurer:
    """Measures KPIs of one layer; knows from when to when there is anything to measure.

    The questions cover whole years, or begin with a month, so that their plans stay good from one
    day to the next; cumulative and shifted KPIs would otherwise cover all the time spine.
    """

    def __init__(self, layer: Layer, since: dt.date | None = None) -> None:
        """Take a layer; the bounds are asked of the warehouse when they are first needed.

        Args:
            layer: the layer.
            since: measure no period that ends before the month of this day.
        """
        self._layer = layer
        self._since = since.replace(day=1) if since else None
        self._wider, self._components = measuring(layer)
        self._now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        self._span: tuple[dt.datetime, dt.datetime] | None = None

    def data_as_of(self, kpi: str) -> dt.datetime | None:
        """The last instant in the stalest source of a KPI; None when they are empty."""
        reach = self.reach(kpi)
        return reach.last if reach else None

    def reach(self, kpi: str) -> Reach | None:
        """How far the stalest source of a KPI reaches; None when they are empty."""
        return self._layer.reaches.stalest(kpi)

    def future(self, kpi: str) -> dt.datetime | None:
        """The last instant in the future in any source of a KPI; None when there is none."""
        reaches = self._layer.reaches.of(kpi)
        return max((reach.future for reach in reaches if reach.future), default=None)

    def bounds(self) -> tuple[dt.datetime, dt.datetime]:
        """The first and last instant of which any source of any KPI knows, up to now."""
        if self._span is None:
            reaches = self._layer.reaches.of(*(card.name for card in self._layer.kpis()))
            first = min((reach.first for reach in reaches), default=self._now)
            self._span = first, max((reach.last for reach in reaches), default=self._now)
        return self._span

    def start(self) -> dt.date:
        """The first day that is measured; longer periods around it are measured whole."""
        year = dt.date(self.bounds()[0].year, 1, 1)
        return max(year, self._since) if self._since else year

    def groups(self, kpis: Iterable[str]) -> list[tuple[str, ...]]:
        """KPIs that are asked together, in the order in which the first of each is given."""
        together: dict[Any, list[str]] = {}
        for kpi in kpis:
            together.setdefault(self._frame(kpi), []).append(kpi)
        return [tuple(group) for group in together.values()]

    def questions(
        self, kpis: Sequence[str], publications: Mapping[str, Publication]
    ) -> list[MetricQuery]:
        """What has to be asked so that each KPI is measured as it is published."""
        kpis_by_shape: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for kpi in kpis:
            for names in publications[kpi].dimension_sets:
                for grain in publications[kpi].grains:
                    kpis_by_shape.setdefault((grain, names), []).append(kpi)
        return [
            MetricQuery(grain, names, tuple(group))
            for (grain, names), group in kpis_by_shape.items()
        ]

    def sql(self, query: MetricQuery) -> str:
        """The statement that answers a question."""
        return self._wider.sql(*self._names(query), **self._range())

    def measure(self, query: MetricQuery) -> Iterator[Measured]:
        """The values of each KPI of a question."""
        table = self._wider.query(*self._names(query), **self._range()).to_arrow()
        keys = [f"metric_time__{query.grain}", *query.dimensions]
        for kpi in query.kpis:
            components = self._components[kpi]
            names = [*keys, kpi, *components.names]
            yield Measured(query.grain, query.dimensions, table.select(names), kpi, components)

    def _names(self, query: MetricQuery) -> tuple[list[str], list[str]]:
        components = [name for kpi in query.kpis for name in self._components[kpi].names]
        metrics = [*query.kpis, *dict.fromkeys(components)]
        return metrics, [f"metric_time__{query.grain}", *query.dimensions]

    def _range(self) -> dict[str, Any]:
        end = dt.date(self.bounds()[1].year, 12, 31)
        return {"start": self.start(), "end": end, "governed": False, "ordered": False}

    def _frame(self, kpi: str) -> Any:
        """What KPIs that are asked together have in common: their facts, or nothing at all."""
        graph = self._layer.metric_graph
        is_filled = any(fills_gaps(graph.metrics[name]) for name in graph.closure(kpi))
        if is_filled or graph.reads_other_periods(kpi):
            return kpi
        return frozenset(graph.semantic_models(kpi))


BY_SQL = "sql:"


@dataclass(frozen=True, slots=True)
class Defined:
    """What a KPI means now, in one hash.

    Attributes:
        hash: of the meaning; it begins with `sql:` where compiled SQL was hashed instead.
        note: why that was done; empty otherwise.
        is_changed: whether the record of its version says something else.
        causes: what changed since, where that is known.
    """

    hash: str
    note: str = ""
    is_changed: bool = False
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VersionScope:
    """Which periods the present version of a KPI speaks for, and why it was made.

    Attributes:
        covers: SQL on `period`, its start: the version speaks for it.
        restates: SQL on `period`: it also changes final values there.
        details: what the ledger says of it: version_kind, reason, approver, ticket.
    """

    covers: str
    restates: str
    details: dict[str, Any] = field(default_factory=dict)


class Definitions:
    """The definitions of a layer's KPIs; each is worked out once while no file changes."""

    def __init__(self, layer: Layer) -> None:
        """Take a layer; nothing is opened yet."""
        self._layer = layer
        self._root: Path | None = layer.project.root
        folder = layer.project.plans
        self._cache = PlanCache(folder.with_name("ledger") / "definitions" if folder else None)
        self._records: dict[str, VersionRecord | None] = {}
        self._files = fingerprint(self._root) if self._root is not None else ""
        self._why_not = "there is no dbt project, only its manifest" if self._root is None else ""

    def of(self, kpi: str) -> Defined:
        """What a KPI means now.

        Raises:
            CardError: the version's record lacks something, or holds what it must not.
            CadranError: it cannot be asked at all.
        """
        if not self._why_not:
            record = self._record(kpi)
            recorded = [record.version, record.hash, text_of(record.definition)] if record else []
            key = key_of("meaning", self._files, tools(), kpi, recorded)
            entry: dict[str, Any] | None = self._cache.get(key)
            if entry is None:
                try:
                    entry = self._compared(kpi, record)
                except CardError:
                    raise
                except CadranError as reason:
                    self._why_not = str(reason).rstrip(".")
                else:
                    self._cache.put(key, entry)
            if entry is not None:
                return Defined(entry["hash"], "", entry["is_changed"], tuple(entry["causes"]))
        card, layer = self._layer.card(kpi), self._layer
        if layer.project.dialect != DIALECT:  # it means the same on every engine
            at = layer.project.semantic_manifest_path
            layer = layer.over(
                Project(at, None, self._root, text=layer.project.text, dialect=DIALECT)
            )
        texts = [
            layer.stable_sql(ask([kpi], [f"metric_time__{grain}"], ordered=False))
            for grain in card.grains
        ]
        note = f"its compiled SQL is compared, which sees no change upstream: {self._why_not}"
        return Defined(f"{BY_SQL}{key_of(*texts)}", note)

    def _compared(self, kpi: str, record: VersionRecord | None) -> dict[str, Any]:
        if record is None:
            digest = compare.hash_of(self._layer.meanings, kpi)
            return {"hash": digest, "is_changed": False, "causes": []}
        change = compare.compare(self._layer.meanings, record)
        return {"hash": record.hash, "is_changed": change.changed, "causes": list(change.causes)}

    def refusal(self, kpi: str, now: Defined, published: Sequence[dict[str, Any]]) -> str:
        """Why a KPI must not be published: it means something else than its version; else empty.

        Args:
            kpi: the KPI.
            now: what it means now.
            published: the last publication by the present version, `definition_hash` and `tools`;
                empty when there is none.
        """
        version = self._layer.card(kpi).version
        remedy = f"give it a new version with `cadran bump {kpi}`, or take the change back"
        if now.is_changed:
            causes = f" ({', '.join(now.causes)})" if now.causes else ""
            named = f"version {version}, by which it would be published{causes}"
            return f"{kpi} means something else than {named}: {remedy}."
        if self._record(kpi) is not None and not now.note:
            return ""
        if not published or published[0]["definition_hash"] == now.hash:
            return ""
        # Other tools, or another kind of hash, say nothing of the meaning.
        kinds = {hash_.startswith(BY_SQL) for hash_ in (published[0]["definition_hash"], now.hash)}
        if published[0]["tools"] != " ".join(tools()) or len(kinds) > 1:
            return ""
        return f"{kpi} means something else than what was published as version {version}: {remedy}."

    def scope(self, kpi: str) -> VersionScope | None:
        """The scope of a KPI's present version, from its record; None without it.

        Raises:
            CardError: the record lacks something, or holds what it must not.
        """
        record = self._record(kpi)
        if record is None:
            return None
        effective = f"period >= timestamp '{record.effective_from}'"
        covers, restates = effective, "false"
        if record.restatement == "effective":
            restates = effective
        elif record.restatement == "full":
            covers = restates = "true"
        elif record.restatement == "window" and record.window:
            first, last = record.window
            restates = (
                f"(period >= timestamp '{first}' and period < timestamp '{last}' + interval 1 day)"
            )
            covers = f"({effective} or {restates})"
        details = {
            "version_kind": record.kind, "kind": record.kind, "version": record.version,
            "reason": record.reason, "ticket": record.ticket or None, "approver": record.approver,
            "effective_from": str(record.effective_from), "restatement": record.restatement,
        }  # fmt: skip
        return VersionScope(covers, restates, details)

    def _record(self, kpi: str) -> VersionRecord | None:
        if self._root is None:
            return None
        if kpi not in self._records:
            path = versions.path_of(self._root, kpi, self._layer.card(kpi).version)
            record = version_file.read(self._root, path) if path.exists() else None
            self._records[kpi] = record
        return self._records[kpi]


def tools() -> list[str]:
    """What a hash of a definition depends on beside the definition."""
    return [f"form {FORM}", *(f"{name} {installed(name)}" for name in ("metricflow", "sqlglot"))]
