"""The values of KPIs as they are now, with what stands behind them: all by `Layer.query`.

KPIs that are made of the same facts are asked together, so that a fact is read once for all of
them. Asked together they are what they are alone: each keeps its own aggregates, and a period that
one of them does not have is empty in its column. Where that might not hold (values filled where
nothing is, sums over a window, offsets, conversions), a KPI is asked by itself.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.governance.parts import Parts, leaves, measuring, reached

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from cadran.governance.ledger_settings import Publication
    from cadran.layer import Layer


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
    parts: Parts

    @property
    def time(self) -> str:
        """The name of the time column."""
        return f"metric_time__{self.grain}"


@dataclass(frozen=True, slots=True)
class Question:
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
        self._wider, self._parts = measuring(layer)
        self._bounds: dict[str, tuple[dt.datetime, dt.datetime] | None] = {}
        self._span: tuple[dt.datetime, dt.datetime] | None = None

    def data_as_of(self, kpi: str) -> dt.datetime | None:
        """The last instant in the sources of a KPI; None when they are empty."""
        found = [bound for leaf in leaves(self._layer, kpi) if (bound := self._bound(leaf))]
        return max((last for _, last in found), default=None)

    def bounds(self) -> tuple[dt.datetime, dt.datetime]:
        """The first and last instant of which any source of any KPI knows."""
        if self._span is None:
            names = {leaf for card in self._layer.kpis() for leaf in leaves(self._layer, card.name)}
            found = [bound for leaf in sorted(names) if (bound := self._bound(leaf))]
            now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
            first = min((first for first, _ in found), default=now)
            self._span = first, max((last for _, last in found), default=now)
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
    ) -> list[Question]:
        """What has to be asked so that each KPI is measured as it is published."""
        asked: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for kpi in kpis:
            for names in publications[kpi].dimension_sets:
                for grain in publications[kpi].grains:
                    asked.setdefault((grain, names), []).append(kpi)
        return [Question(grain, names, tuple(who)) for (grain, names), who in asked.items()]

    def sql(self, question: Question) -> str:
        """The statement that answers a question."""
        return self._wider.sql(*self._asked(question), **self._range())

    def measure(self, question: Question) -> Iterator[Measured]:
        """The values of each KPI of a question."""
        table = self._wider.query(*self._asked(question), **self._range()).to_arrow()
        keys = [f"metric_time__{question.grain}", *question.dimensions]
        for kpi in question.kpis:
            parts = self._parts[kpi]
            names = [*keys, kpi, *parts.names]
            yield Measured(question.grain, question.dimensions, table.select(names), kpi, parts)

    def _asked(self, question: Question) -> tuple[list[str], list[str]]:
        parts = [name for kpi in question.kpis for name in self._parts[kpi].names]
        metrics = [*question.kpis, *dict.fromkeys(parts)]
        return metrics, [f"metric_time__{question.grain}", *question.dimensions]

    def _range(self) -> dict[str, Any]:
        end = dt.date(self.bounds()[1].year, 12, 31)
        return {"start": self.start(), "end": end, "governed": False, "ordered": False}

    def _frame(self, kpi: str) -> Any:
        """What KPIs that are asked together have in common: their facts, or nothing at all."""
        models = set()
        for metric in reached(self._layer, kpi):
            given = metric["type_params"]
            inputs = [given["numerator"], given["denominator"], *(given["metrics"] or [])]
            shifted = any(i and (i["offset_window"] or i["offset_to_grain"]) for i in inputs)
            filled = given["fill_nulls_with"] is not None or given["join_to_timespine"]
            if metric["type"] in ("cumulative", "conversion") or shifted or filled:
                return kpi
            if metric["type"] == "simple":
                counted = given["metric_aggregation_params"]
                if counted["non_additive_dimension"]:
                    return kpi
                models.add(counted["semantic_model"])
        return frozenset(models)

    def _bound(self, leaf: str) -> tuple[dt.datetime, dt.datetime] | None:
        time = self._time_of(leaf)
        if time not in self._bounds:
            found = self._layer.query((), [time], min_max_only=True).to_arrow()
            instants = [_instant(column[0].as_py()) for column in found.columns]
            ends = [instant for instant in instants if instant is not None]
            self._bounds[time] = (min(ends), max(ends)) if ends else None
        return self._bounds[time]

    def _time_of(self, leaf: str) -> str:
        """The time dimension that a simple metric is counted by, at its own grain."""
        given = self._layer.metric(leaf)["type_params"]["metric_aggregation_params"]
        models = self._layer.project.semantic_manifest["semantic_models"]
        model = next(model for model in models if model["name"] == given["semantic_model"])
        time = next(d for d in model["dimensions"] if d["name"] == given["agg_time_dimension"])
        primary = [entity["name"] for entity in model["entities"] if entity["type"] == "primary"]
        entity = model["primary_entity"] or primary[0]
        return f"{entity}__{time['name']}__{time['type_params']['time_granularity']}"


def _instant(value: Any) -> dt.datetime | None:
    if isinstance(value, dt.datetime) or value is None:
        return value
    return dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - UTC without a zone
