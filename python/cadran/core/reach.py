"""How far the sources of KPIs reach, read from their facts: which periods are complete."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError
from cadran.formats import periods

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.core.result import Result
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
    """How far the sources of a layer's metrics reach; each is asked once."""

    def __init__(self, model: SemanticModel, query: Callable[..., Result]) -> None:
        """Take the definitions, and what answers questions; nothing is asked yet."""
        self._model = model
        self._query = query
        self._reaches: dict[str, Reach | None] = {}
        self._leaves: dict[tuple[str, ...], list[str]] = {}
        self._now = dt.datetime.now(dt.UTC).replace(tzinfo=None)

    def of(self, *metrics: str) -> list[Reach]:
        """The reach of each source of some metrics that is not empty."""
        if metrics not in self._leaves:
            self._leaves[metrics] = sorted(self._model.metric_graph.leaves(*metrics))
        leaves = self._leaves[metrics]
        return [reach for leaf in leaves if (reach := self._reach(leaf))]

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

    def _reach(self, leaf: str) -> Reach | None:
        clock = _clock(self._model, leaf)
        time = clock.dimension
        if time not in self._reaches:
            name = f"{time}__{clock.grain}"
            table = self._query((), [name], min_max_only=True).to_arrow()
            instants = [_instant(column[0].as_py()) for column in table.columns]
            ends = [instant for instant in instants if instant is not None]
            self._reaches[time] = self._reach_of(clock, min(ends), max(ends)) if ends else None
        return self._reaches[time]

    def _reach_of(self, clock: Clock, first: dt.datetime, last: dt.datetime) -> Reach | None:
        table = self._query((), [f"{clock.dimension}__day"], ordered=False).to_arrow()
        moments = map(_instant, table.column(0).to_pylist())
        days = sorted({day for day in moments if day is not None})
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


def _instant(value: Any) -> dt.datetime | None:
    if isinstance(value, dt.datetime) or value is None:
        return value
    return dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - UTC without a zone
