"""How far the sources of KPIs reach, read from their facts: which periods are complete."""

from __future__ import annotations

import bisect
import datetime as dt
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadran.errors import QueryError
from cadran.formats import periods

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from cadran.core.semantics.model import SemanticModel

_DAY = dt.timedelta(days=1)
_LATE_START = dt.timedelta(days=7)  # by which a source may begin after days that are compared
_USUAL = 0.99  # the part of a source's gaps that are no longer than the usual one


@dataclass(frozen=True, slots=True)
class Reach:
    """From when to when a source has rows.

    Attributes:
        first: its first instant.
        last: its last one that is not in the future.
        until: the end of that minute, hour or day: what it covers.
        gap: for how long it is silent between two days with rows, but for one time in a hundred.
        future: its last instant, where that is in the future.
    """

    first: dt.datetime
    last: dt.datetime
    until: dt.datetime
    gap: dt.timedelta
    future: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """The column that the rows behind a simple metric are counted by.

    Attributes:
        dimension: the time dimension as questions name it.
        relation: the relation that the rows stand in.
        expr: the expression of its instants over that relation.
        grain: how finely it tells them.
    """

    dimension: str
    relation: str
    expr: str
    grain: str

    @property
    def step(self) -> dt.timedelta:
        """How long the minute, hour or day is that its last instant stands for."""
        return {"minute": dt.timedelta(minutes=1), "hour": dt.timedelta(hours=1)}.get(
            self.grain, _DAY
        )


class Reaches:
    """How far the sources of a layer's metrics reach; each is read once."""

    def __init__(self, model: SemanticModel, rows: Callable[[str], pa.Table]) -> None:
        """Take the definitions, and what gives the rows of a statement; nothing is read yet."""
        self._model = model
        self._rows = rows
        self._reaches: dict[str, Reach | None] = {}
        self._clocks: dict[tuple[str, ...], list[Clock]] = {}
        self._now = dt.datetime.now(dt.UTC).replace(tzinfo=None)

    def of(self, *metrics: str) -> list[Reach]:
        """The reach of each source of some metrics that is not empty; one statement reads them."""
        if metrics not in self._clocks:
            leaves = sorted(self._model.metric_graph.leaves(*metrics))
            self._clocks[metrics] = [_clock(self._model, leaf) for leaf in leaves]
        clocks = self._clocks[metrics]
        unread = {c.dimension: c for c in clocks if c.dimension not in self._reaches}
        if unread:
            self._read(list(unread.values()))
        return [reach for clock in clocks if (reach := self._reaches[clock.dimension])]

    def stalest(self, metric: str) -> Reach | None:
        """How far the stalest source of a metric reaches; None when they are empty."""
        return min(self.of(metric), key=lambda reach: reach.until + 2 * reach.gap, default=None)

    def complete_through(self, metric: str) -> dt.date | None:
        """The last day that is whole in every source of a metric; None when they are empty.

        A source that is silent now and then is complete for as long as it is usually silent, but
        no further than any source of the KPIs reaches. The last rows of a day may be missing for
        as long as the card lets the KPI be late.
        """
        reach = self.stalest(metric)
        if reach is None:
            return None
        until = reach.until
        if reach.gap > _DAY:
            every = self.of(metric, *(card.name for card in self._model.kpis()))
            furthest = max(other.until for other in every)
            until = max(until, min(furthest, until + 2 * (reach.gap - _DAY)))
        return (until + allowance(self._model, metric)).date() - _DAY

    def begins_within(self, metric: str, first: dt.date) -> bool:
        """Whether a source of a metric begins too late to compare with days from this one on.

        False where it is not known when: the manifest does not say by which time it is counted.
        """
        name = self._model.metric(metric)["name"]
        try:
            reaches = self.of(name)
        except QueryError:
            return False
        return any(reach.first.date() > first + _LATE_START for reach in reaches)

    def _read(self, clocks: list[Clock]) -> None:
        import pyarrow.compute as pc

        statement = " union all ".join(itertools.starmap(_statement, enumerate(clocks)))
        table = self._rows(f"select * from ({statement}) as every_day order by place")
        places = table.column("place").to_pylist()
        for place, clock in enumerate(clocks):
            rows = table.slice(bisect.bisect_left(places, place), places.count(place))
            ends = pc.min(rows.column("first_at")).as_py(), pc.max(rows.column("last_at")).as_py()
            self._reaches[clock.dimension] = self._reach(clock, *ends, rows) if len(rows) else None

    def _reach(
        self, clock: Clock, first: dt.datetime, last: dt.datetime, rows: pa.Table
    ) -> Reach | None:
        days = sorted(map(_midnight, rows.column("day").to_pylist()))
        # The business day may be ahead of UTC.
        latest = self._now + _DAY
        past = [day for day in days if day <= latest]
        if not past:
            return None
        future = last if last > latest else None
        if future is not None:
            last = past[-1]
        gaps = sorted(after - before for before, after in itertools.pairwise(past)) or [_DAY]
        gap = gaps[min(len(gaps) - 1, int(len(gaps) * _USUAL))]
        return Reach(first, last, last + (_DAY if future else clock.step), gap, future)


def allowance(definitions: SemanticModel, metric: str) -> dt.timedelta:
    """How much of a day's end may be missing of a metric that counts as complete."""
    if not definitions.is_kpi(metric):
        return dt.timedelta()
    late = periods.length(definitions.card(metric).refresh.late_after)
    return min(late, _DAY - dt.timedelta(minutes=1))


def clocks(definitions: SemanticModel, metric: str) -> list[Clock]:
    """What the rows of each source of a metric are counted by.

    Raises:
        QueryError: the manifest does not say.
    """
    return [_clock(definitions, leaf) for leaf in sorted(definitions.metric_graph.leaves(metric))]


def _clock(definitions: SemanticModel, leaf: str) -> Clock:
    """What the rows of a simple metric are counted by.

    Raises:
        QueryError: the manifest does not say.
    """
    measure = definitions.metric_graph.aggregation(leaf)
    models = definitions.project.semantic_manifest["semantic_models"]
    model = next(model for model in models if model["name"] == measure["semantic_model"])
    times = [d for d in model["dimensions"] if d["name"] == measure["agg_time_dimension"]]
    primary = [entity["name"] for entity in model["entities"] if entity["type"] == "primary"]
    entity = model["primary_entity"] or next(iter(primary), None)
    if not times or entity is None:
        raise QueryError(
            f"{leaf} does not say by which time of {model['name']} it is counted, so it is not"
            " known until when it is complete."
        )
    time = times[0]
    return Clock(
        f"{entity}__{time['name']}", model["node_relation"]["relation_name"],
        time["expr"] or time["name"], time["type_params"]["time_granularity"],
    )  # fmt: skip


def _statement(place: int, clock: Clock) -> str:
    """The SQL of the days on which a source has rows, with its first and its last instant."""
    grain, instants = clock.grain, f"select cast({clock.expr} as timestamp) as instant"
    return (
        f"select {place} as place, cast(instant as date) as day,"
        f" date_trunc('{grain}', min(instant)) as first_at,"
        f" date_trunc('{grain}', max(instant)) as last_at"
        f" from ({instants} from {clock.relation}) as instants"
        " where instant is not null group by cast(instant as date)"
    )


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day)  # noqa: DTZ001 - UTC without a zone
