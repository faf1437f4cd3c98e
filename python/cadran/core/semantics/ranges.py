"""The periods that a question reads: its range in whole ones, and those that offsets look at.

MetricFlow writes wrong or invalid SQL for some ranges and offsets. Such a question of a KPI is
refused with what to ask instead; of another metric the answer says what it holds.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cadran.core.query.filters import days_of, read
from cadran.core.query.request import DAY_OR_COARSER, GRAINS, GroupBy
from cadran.core.semantics.governed import TIME
from cadran.core.semantics.metrics import fills_gaps
from cadran.errors import QueryError, listing
from cadran.formats import periods

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.core.project.cards import Card
    from cadran.core.query.request import Fields, Query
    from cadran.core.semantics.metrics import MetricGraph


class Ranges:
    """Of the questions about one project."""

    def __init__(
        self, manifest: dict[str, Any], graph: MetricGraph, fields: Fields, kpis: Iterable[str]
    ) -> None:
        """Take a semantic manifest, its metrics and names, and the names of those that are KPIs."""
        self._manifest = manifest
        self._graph = graph
        self._fields = fields
        self._kpis = frozenset(kpis)

    def refuse(self, query: Query) -> None:
        """Look for each reason for which the periods of a question cannot be read.

        Raises:
            QueryError: there is one.
        """
        self._refuse_open_range(query)
        self._refuse_without_time(query)
        self._refuse_offsets(query)
        self._refuse_mixed_range(query)

    def widened(self, query: Query) -> Query:
        """A question whose range is that of the whole periods asked, of the finest grain of them.

        Without a time in `group_by` those are the periods by which the metrics are counted; where
        that is a day, or a time is grouped by a grain finer than one, it is the range as asked.
        """
        if not query.metrics or (query.start is None and query.end is None):
            return query
        grains = [
            group.asked_grain
            for group in query.group_by
            if group.asked_grain and not group.date_part
            if all(self._graph.is_counted_by(name, group.base) for name in query.metrics)
        ]
        grain = min(grains, key=GRAINS.index, default=None)
        if grain is None and not self._groups_by_time(query):
            grain = max(map(self.own_grain, query.metrics), key=GRAINS.index)
        if grain not in periods.GRAINS:
            return query
        start, end = query.start, query.end
        if start is not None:
            first = periods.start_of(start.date(), grain)
            start = dt.datetime.combine(first, dt.time.min)
        if end is not None and end.year < dt.MAXYEAR:
            last = periods.last_of(periods.start_of(end.date(), grain), grain)
            end = dt.datetime.combine(last, dt.time.max)
        return replace(query, start=start, end=end)

    def note(self, query: Query) -> str:
        """What the range of an answer is where it is not the one asked; empty where it is."""
        wide = self.widened(query)
        widened = [
            f"{name} {asked:%Y-%m-%d} was widened to {whole:%Y-%m-%d}"
            for name, asked, whole in (
                ("start", query.start, wide.start), ("end", query.end, wide.end),
            )
            if asked is not None and whole is not None and asked.date() != whole.date()
        ]  # fmt: skip
        if widened:
            return f"Whole periods are given: {' and '.join(widened)}."
        if query.start is None and query.end is None:
            return ""
        own = [
            group.name
            for group in query.group_by
            if (group.grain or group.name.rpartition("__")[2]).lower() in self._fields.own_grains
        ]
        if own:
            return f"{', '.join(own)}: the first and last period hold the days of the range only."
        return ""

    def offset_note(self, query: Query) -> str:
        """Which metrics, that are no KPIs, read days twice or never at a grain of the question."""
        sentences = [
            self._uneven(name, group.asked_grain) or self._missing_days(query, name, group)
            for name in query.metrics
            for group in query.group_by
            if group.asked_grain and self._graph.is_counted_by(name, group.base)
        ]
        return " ".join(sentence for sentence in sentences if sentence)

    def by_period(self, query: Query, cards: Iterable[Card]) -> Query:
        """A question by time as well, where a metric of it means nothing without one.

        The period is the longest at which all can be asked.
        """
        if not any(map(self._graph.needs_time, query.metrics)):
            return query
        grains = set(DAY_OR_COARSER).intersection(*(card.grains for card in cards))
        grains = grains.intersection(*map(self._even_grains, query.metrics))
        longest = max(grains, key=GRAINS.index, default=None)
        return replace(query, group_by=(*query.group_by, GroupBy(TIME, longest)))

    def with_days_of_filters(self, query: Query) -> Query:
        """A question whose filters on the day also stand as its range, which is pushed down.

        The range is never narrower than the filters, which go on to hold. It says the same only
        where a value rests on the rows of its own period and no row is made up from the spine.
        """
        graph = self._graph
        if (
            not query.metrics
            or query.start is not None
            or query.end is not None
            or graph.reads_other_periods(*query.metrics)
            or any(fills_gaps(self._graph.metrics[name]) for name in graph.closure(*query.metrics))
        ):
            return query
        bounds = [
            days_of(condition) for condition in (read(text, self._fields) for text in query.where)
        ]
        first = max((bound for bound, _ in bounds if bound), default=None)
        last = min((bound for _, bound in bounds if bound), default=None)
        if first and last and first > last:
            return query
        start = dt.datetime.combine(first, dt.time.min) if first else None
        return replace(
            query, start=start, end=dt.datetime.combine(last, dt.time.max) if last else None
        )

    def own_grain(self, metric: str) -> str:
        """The grain of the times by which a metric is counted, the coarsest of several."""
        grains = [self._time_grains[key] for key in self._graph.times(metric)]
        known = [grain for grain in grains if grain in GRAINS]
        return max(known, key=GRAINS.index, default="day")

    def _refuse_open_range(self, query: Query) -> None:
        """MetricFlow writes invalid SQL for a range of a cumulative metric without a time.

        Raises:
            QueryError: the question is of that kind.
        """
        if query.start is None and query.end is None:
            return
        if self._groups_by_time(query):
            return
        for name in query.metrics:
            if self._graph.accumulates(name):
                raise QueryError(
                    f"{name} is cumulative: with start or end it needs metric_time in group_by,"
                    " such as metric_time__day."
                )

    def _refuse_without_time(self, query: Query) -> None:
        """A window, a period to date and an offset are those of a period.

        Raises:
            QueryError: a metric has one, and the question groups by no time.
        """
        for name in query.metrics:
            if self._graph.needs_time(name) and not self._groups_by_time(query):
                raise QueryError(
                    f"{name} reads other periods than its own: it needs metric_time in group_by,"
                    f" such as metric_time__{next(iter(self._even_grains(name)), 'day')}."
                )

    def _refuse_mixed_range(self, query: Query) -> None:
        """Without a time, MetricFlow widens the range of all metrics to the coarsest of their own.

        Raises:
            QueryError: the question is of that kind.
        """
        if query.start is None and query.end is None:
            return
        if self._groups_by_time(query):
            return
        grains = {name: self.own_grain(name) for name in query.metrics}
        if len(set(grains.values()) - {*GRAINS[: GRAINS.index("day")]}) > 1:
            coarsest = max(grains.values(), key=GRAINS.index)
            raise QueryError(
                f"{listing(f'{name} is known by {grain}' for name, grain in grains.items())}: with"
                f" start or end, ask each by itself, or all by metric_time__{coarsest}."
            )

    def _refuse_offsets(self, query: Query) -> None:
        """MetricFlow reads wrong periods, or writes invalid SQL, for offsets at some grains.

        A KPI is refused where it reads wrong periods; of another metric the answer says so.

        Raises:
            QueryError: the question is of that kind.
        """
        ranged = query.start is not None or query.end is not None
        for name in query.metrics:
            for group in query.group_by:
                grain = group.asked_grain
                if grain is None or not self._graph.is_counted_by(name, group.base):
                    continue
                uneven = self._uneven(name, grain)
                if uneven and name in self._kpis:
                    raise QueryError(uneven)
                to = self._graph.offset_to_grain(name)
                if ranged and to and GRAINS.index(grain) > GRAINS.index("day"):
                    raise QueryError(
                        f"{name} is shifted to the start of its {to}: by {grain} it takes no start"
                        f" and end. Leave them out, or ask by {group.base}__day."
                    )
        if ranged and any(
            field.kind == "Metric" for text in query.where for field in read(text).fields
        ):
            raise QueryError(
                "A filter on a metric reads all of its time, whatever start and end say. Leave"
                " them out, or filter by a dimension."
            )

    def _groups_by_time(self, query: Query) -> bool:
        own = self._fields.own_grains
        parts = (part for g in query.group_by for part in g.base.lower().split("__")[-2:])
        return not self._fields.times.isdisjoint(part for part in parts if part not in own)

    def _missing_days(self, query: Query, name: str, group: GroupBy) -> str:
        if group.asked_grain != "day" or not self._kpis.isdisjoint(query.metrics):
            return ""
        windows = (
            part.offset_window
            for below in self._graph.closure(name)
            for part in self._graph.inputs(below)
        )
        if not any(window and window["granularity"] in periods.MONTHS for window in windows):
            return ""
        return f"{name}: a day that an earlier month lacks is set against the last day of it."

    def _uneven(self, name: str, grain: str) -> str:
        window = self._graph.uneven_offset(name, grain)
        if not window:
            return ""
        return (
            f"{name} looks {window} back, which is no whole number of {grain}s: some days are read"
            f" twice and others never. Ask it by {listing(self._even_grains(name))}."
        )

    def _even_grains(self, name: str) -> list[str]:
        return [
            grain for grain in DAY_OR_COARSER
            if self._graph.uneven_offset(name, grain) is None
        ]  # fmt: skip

    @cached_property
    def _time_grains(self) -> dict[tuple[str, str], str]:
        return {
            (model["name"], dimension["name"]): dimension["type_params"]["time_granularity"]
            for model in self._manifest["semantic_models"]
            for dimension in model["dimensions"]
            if dimension["type"] == "time"
        }
