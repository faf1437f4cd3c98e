"""What an incident did to each outcome: what there was, held against what was to be expected.

An order counts at the time when its session began, for that is when the incident turned it away;
orders without a session are left out. Money is orders lost times the net revenue of an order around
that time.
"""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from cadran.core.components import DENOMINATOR, NUMERATOR
from cadran.core.project import calendar as calendars
from cadran.errors import (
    CadranError,
    NotAllowedError,
    NotGovernedError,
    QueryError,
)
from cadran.insight.counterfactual import (
    DAY,
    HOUR,
    REACH,
    WEEK,
    Calm,
    Interval,
    Series,
    Stretch,
    Timeline,
    Weeks,
    expect,
    instants,
    interval,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from cadran.core.project.calendar import Calendar
    from cadran.insight.counterfactual import Flags, Floats, Ints
    from cadran.insight.source import Source

    _Estimator = Callable[[dict[str, Any], "dict[Outcome, Effect]"], "Effect"]

Outcome = Literal["orders", "net_revenue", "conversion", "satisfaction", "tickets"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

# Minutes after an incident in which lost orders may come back, and in which people still write.
REBOUND, WRITING = 6 * HOUR, 10 * HOUR
REMEMBERED_DAYS = 7  # for which customers hold it against the company
_REBOUND_TAIL = 0.95  # of the quiet weeks that have less of it
_LONG_REACH = 13  # weeks, where few are quiet for as long as something is remembered

# Building blocks: the KPI by whose rights each is asked, the block, and a time finer than a day.
_BLOCKS = {
    "orders": ("order_count", "orders_placed", "session__started_at__minute"),
    "sessions": ("conversion_rate", "sessions_started", "session__started_at__hour"),
    "tickets": ("tickets_opened", "tickets_opened_count", "ticket__opened_at__minute"),
}
_DAILY = ("net_revenue", "order_count")
_SATISFACTION, _SIDES = (
    "customer_satisfaction_rate",
    {"satisfied": NUMERATOR, "answers": DENOMINATOR},
)
_BY_DAY = "metric_time__day"
_WIDTHS = {"minute": 1, "hour": HOUR, "day": DAY}  # minutes over which a row is spread


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an estimate rests on.

    Attributes:
        starts_at: of the time that was looked at (UTC).
        ends_at: of it.
        baseline_weeks: quiet weeks with which it was compared.
        baseline_hours: quiet hours near it, by which its level is known.
        masked_hours: hours near it that were left out.
        placebos: quiet weeks by which the bounds were found.
    """

    starts_at: dt.datetime
    ends_at: dt.datetime
    baseline_weeks: int
    baseline_hours: int
    masked_hours: int
    placebos: int


@dataclass(frozen=True, slots=True)
class Effect:
    """What an incident did to one outcome.

    Attributes:
        outcome: which.
        unit: of the estimate; `%` is a fraction.
        expected: what was to be expected; None of money, which is not looked at by the minute.
        actual: what was.
        interval: harm with its bounds of 90 %.
        rebound: what was gained back afterwards and is taken off.
        evidence: what it rests on.
    """

    outcome: Outcome
    unit: str
    expected: float | None
    actual: float | None
    interval: Interval = field(repr=False)
    rebound: float
    evidence: Evidence

    @property
    def is_measurable(self) -> bool:
        """Whether there was harm beyond what chance would do."""
        return self.interval.lower > 0


@dataclass(frozen=True, slots=True)
class _Looked:
    """A stretch of one incident, with harm by week as multiples of `spread`."""

    stretch: Stretch
    weeks: Weeks
    harm: Floats


class Ground:
    """The series of a source, each fetched once, and the hours that can be compared."""

    def __init__(
        self, source: Source, rows: list[dict[str, Any]], calendar: Calendar | None
    ) -> None:
        """Fetch what there is; what may not be asked is left out, and why is kept.

        Args:
            source: where numbers come from.
            rows: every incident, as `reliability.incidents` has them.
            calendar: holidays and promotions; None takes those of the project.
        """
        self._rows = rows
        self._units = {card.name: card.unit for card in source.kpis}
        self._calendar = calendar or calendars.read(source.layer.project.root)
        self._absent: dict[str, str] = {}
        self._series: dict[str, Series] = {}
        self._last: dict[str, int] = {}
        self._known: dict[str, Flags] = {}
        self._spans_of: dict[tuple[str, int], list[tuple[int, int]]] = {}
        self._calm_of: dict[tuple[str, int], Calm] = {}
        self._width: dict[str, int] = {}
        columns: dict[str, tuple[Any, Floats]] = {}
        for names, table in self._tables(source):
            at = instants(table.column(0))
            for name, column in names.items():
                values = table.column(column).to_numpy(zero_copy_only=False).astype(np.float64)
                dated = ~np.isnat(at) & ~np.isnan(values)
                if dated.any():
                    columns[name] = at[dated], values[dated]
                    self._width[name] = _WIDTHS[table.column_names[0].rpartition("__")[2]]
                else:
                    self._absent[name] = f"{column} has no rows."
        moments = [at for at, _ in columns.values()]
        moments += [np.array([row["started_at"] for row in rows], dtype="datetime64[us]")]
        every = np.concatenate(moments)
        if not len(every):
            return
        self.timeline = Timeline.spanning(
            every.min().item(), every.max().item(), self._calendar.time_zone
        )
        for name, (at, values) in columns.items():
            self._add(name, at, values)
        self._regime = self._regimes()

    def _tables(self, source: Source) -> Iterator[tuple[dict[str, str], pa.Table]]:
        """Each table that may be asked, its time first, with the columns of its series."""
        asked: list[tuple[dict[str, str], Callable[[], pa.Table]]] = [
            ({name: block[1]}, partial(source.by_time, *block)) for name, block in _BLOCKS.items()
        ]
        asked += [({name: name}, partial(_daily, source, name)) for name in _DAILY]
        asked.append((_SIDES, partial(_satisfaction, source)))
        for names, answer in asked:
            try:
                yield names, answer()
            except (QueryError, NotAllowedError, NotGovernedError) as problem:
                self._absent |= dict.fromkeys(names, str(problem))

    def _add(self, name: str, at: Any, values: Floats) -> None:
        width = self._width[name]
        # A business day has no zone: its midnight is that of the local clock already.
        by_day = width == DAY
        first = np.datetime64(self.timeline.first, "us")
        minutes: Ints = (
            (at - first).astype("timedelta64[m]").astype(np.int64)
            if by_day
            else self.timeline.minutes(at)
        )
        self._series[name] = Series.of(self.timeline, minutes, values, width)
        self._last[name] = int(minutes.max()) + width
        known = np.zeros(self.timeline.hours, dtype=np.bool_)
        known[-(-int(minutes.min()) // HOUR) : self._last[name] // HOUR] = True
        if not by_day:
            known[self.timeline.irregular] = False
        self._known[name] = known

    def _regimes(self) -> Ints:
        regime = np.zeros(self.timeline.hours, dtype=np.int64)
        for number, (first, last) in enumerate(self._calendar.regimes(), start=1):
            begin = (first - self.timeline.first.date()).days * 24
            end = ((last - self.timeline.first.date()).days + 1) * 24
            regime[max(begin, 0) : max(end, 0)] = number
        return regime

    def _span(self, row: dict[str, Any], name: str, after: int) -> tuple[int, int]:
        """The minutes in which an incident shows in an outcome, cut where the data end."""
        start = self.timeline.minute(row["started_at"])
        restored = row["restored_at"]
        end = self._last[name] if restored is None else self.timeline.minute(restored) + 1
        if self._width[name] == DAY:
            start, end = start // DAY * DAY, -(-end // DAY) * DAY
        return start, min(end + after, self._last[name])

    def _spans(self, name: str, after: int) -> list[tuple[int, int]]:
        """The minutes of every incident, in the order of the rows."""
        key = (name, after)
        if key not in self._spans_of:
            self._spans_of[key] = [self._span(row, name, after) for row in self._rows]
        return self._spans_of[key]

    def _calm(self, name: str, after: int) -> Calm:
        """The hours that can be compared; incidents and so many minutes after them cannot."""
        key = (name, after)
        if key not in self._calm_of:
            undisturbed = np.ones(self.timeline.hours, dtype=np.bool_)
            for start, end in self._spans(name, after):
                undisturbed[max(start // HOUR, 0) : max(-(-end // HOUR), 0)] = False
            self._calm_of[key] = Calm(self._known[name], undisturbed, self._regime)
        return self._calm_of[key]

    def _stretch(self, row: dict[str, Any], name: str, after: int) -> Stretch | None:
        """The minutes of an incident in pieces, each shared among the incidents that are in it."""
        spans = self._spans(name, after)
        start, end = spans[self._rows.index(row)]
        if start >= end:
            return None
        inside = {bound for span in spans for bound in span if start < bound < end}
        bounds = sorted({start, end} | inside)
        pieces = []
        for a, b in itertools.pairwise(bounds):
            sharing = sum(first <= a and b <= last for first, last in spans)
            pieces.append((a, b, 1 / sharing))
        return Stretch(tuple(pieces))

    def effects(self, row: dict[str, Any]) -> tuple[dict[Outcome, Effect], dict[Outcome, str]]:
        """What an incident did, and why nothing can be said of the other outcomes."""
        effects: dict[Outcome, Effect] = {}
        absent: dict[Outcome, str] = {}
        for outcome, (needs, estimate) in self._estimators.items():
            missing = [self._absent[need] for need in needs if need in self._absent]
            if missing:
                absent[outcome] = missing[0]
                continue
            try:
                effects[outcome] = estimate(row, effects)
            except _TooLittleError as problem:
                absent[outcome] = str(problem)
        return effects, absent

    @property
    def _estimators(self) -> dict[Outcome, tuple[tuple[str, ...], _Estimator]]:
        """By outcome, the series it needs and what estimates it."""
        return {
            "orders": (("orders",), self._orders),
            "net_revenue": (("orders", "net_revenue", "order_count"), self._net_revenue),
            "conversion": (("orders", "sessions"), self._conversion),
            "satisfaction": (("satisfied", "answers"), self._satisfaction),
            "tickets": (("tickets",), self._tickets),
        }

    def overlapping(self, row: dict[str, Any]) -> tuple[str, ...]:
        """The incidents that went on while another did."""
        end = row["restored_at"] or dt.datetime.max  # noqa: DTZ901 - UTC without a zone, as rows
        return tuple(
            str(other["incident_id"])
            for other in self._rows
            if other is not row
            and other["started_at"] < end
            and (other["restored_at"] is None or other["restored_at"] > row["started_at"])
        )

    def _looked(  # noqa: PLR0913 - what is looked at, and how
        self,
        row: dict[str, Any],
        name: str,
        *,
        after: int,
        masked: int,
        sign: int = 1,
        reach: int = REACH,
    ) -> _Looked:
        stretch = self._stretch(row, name, after)
        if stretch is None:
            raise _TooLittleError("the data end before it began")
        weeks = expect(self._series[name], self._calm(name, masked), stretch, reach=reach)
        return _Looked(stretch, weeks, sign * (weeks.expected - weeks.actual) / weeks.spread)

    def _effect(  # noqa: PLR0913 - the parts of an effect
        self,
        outcome: Outcome,
        unit: str,
        looked: _Looked,
        *,
        harm: Floats,
        spread: float,
        expected: float,
        actual: float,
        rebound: float = 0.0,
    ) -> Effect:
        """An effect by the harm of each week, as multiples of `spread`."""
        weeks = looked.weeks
        own = weeks.own
        placebos = harm[weeks.is_placebo & np.isfinite(harm)]
        if not np.isfinite(harm[own]):
            raise _TooLittleError("too few quiet hours are like these")
        try:
            bounds = interval(float(harm[own]) * spread, placebos * spread)
        except QueryError as problem:
            raise _TooLittleError(str(problem)) from None
        stretch = looked.stretch
        return Effect(
            outcome, unit, expected, actual, bounds, rebound,
            Evidence(
                self.timeline.utc(stretch.start), self.timeline.utc(stretch.end),
                weeks.baseline_weeks, weeks.baseline_hours, weeks.masked_hours, len(placebos),
            ),
        )  # fmt: skip

    def _orders(self, row: dict[str, Any], _: dict[Outcome, Effect]) -> Effect:
        looked = self._looked(row, "orders", after=0, masked=REBOUND)
        weeks, own = looked.weeks, looked.weeks.own
        harm, rebound = looked.harm.copy(), 0.0
        later = self._after(row, looked.stretch.end)
        if later is not None:
            gains = expect(self._series["orders"], self._calm("orders", REBOUND), later)
            back = (gains.actual - gains.expected) / gains.spread
            quiet = back[gains.is_placebo]
            if len(quiet):
                # The same rule for the placebos: what it does to them, the bounds then know.
                stands_out = back > np.quantile(quiet, _REBOUND_TAIL)
                taken = np.where(stands_out, back * gains.spread, 0.0)
                by_week = dict(zip(gains.weeks.tolist(), taken.tolist(), strict=True))
                off = np.array([by_week.get(week, 0.0) for week in weeks.weeks.tolist()])
                # No more comes back than was lost.
                off = np.clip(off, 0.0, np.maximum(harm * weeks.spread, 0.0))
                harm -= off / weeks.spread
                rebound = float(off[own])
        return self._effect(
            "orders", "orders", looked, harm=harm, spread=float(weeks.spread[own]),
            expected=float(weeks.expected[own]), actual=float(weeks.actual[own]), rebound=rebound,
        )  # fmt: skip

    def _after(self, row: dict[str, Any], end: int) -> Stretch | None:
        """The hours after an incident, to the beginning of the next."""
        if row["restored_at"] is None:
            return None
        spans = self._spans("orders", 0)
        if any(first <= end < last for first, last in spans):
            return None  # another one goes on
        until = min(
            [end + REBOUND, self._last["orders"], *(first for first, _ in spans if first >= end)]
        )
        return Stretch(((end, until, 1.0),)) if until > end else None

    def _net_revenue(self, row: dict[str, Any], effects: dict[Outcome, Effect]) -> Effect:
        orders = effects.get("orders")
        if orders is None:
            raise _TooLittleError("the orders lost are not known")
        amount = self._order_amount(row)
        lost = orders.interval
        scaled = Interval(
            lost.estimate * amount, lost.lower * amount, lost.upper * amount, lost.errors * amount
        )
        return Effect(
            "net_revenue",
            self._units.get("net_revenue", ""),
            None,
            None,
            scaled,
            orders.rebound * amount,
            orders.evidence,
        )

    def _order_amount(self, row: dict[str, Any]) -> float:
        """Net revenue of an order over the days around that are like those of the incident."""
        start = self.timeline.minute(row["started_at"])
        hours = np.arange(
            max(0, (start - REACH * WEEK) // HOUR // 24 * 24),
            min(self.timeline.hours, (start + REACH * WEEK) // HOUR),
        )
        hours = hours[
            self._regime[hours] == self._regime[min(start // HOUR, len(self._regime) - 1)]
        ]
        revenue, orders = (
            self._series[name].hourly[hours].sum() for name in ("net_revenue", "order_count")
        )
        if not orders:
            raise _TooLittleError("there are no orders near it")
        return float(revenue / orders)

    def _conversion(self, row: dict[str, Any], _: dict[Outcome, Effect]) -> Effect:
        orders = self._looked(row, "orders", after=0, masked=REBOUND)
        sessions = self._looked(row, "sessions", after=0, masked=REBOUND)
        return self._rate("conversion", orders, sessions)

    def _satisfaction(self, row: dict[str, Any], _: dict[Outcome, Effect]) -> Effect:
        after = (REMEMBERED_DAYS - 1) * DAY
        satisfied, answers = (
            self._looked(row, name, after=after, masked=after, reach=_LONG_REACH)
            for name in ("satisfied", "answers")
        )
        return self._rate("satisfaction", satisfied, answers)

    def _rate(self, outcome: Outcome, part: _Looked, whole: _Looked) -> Effect:
        """A rate that is lower than it was to be; its errors go as those of a share do."""
        own = part.weeks.own
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = part.weeks.expected / whole.weeks.expected
            actual = part.weeks.actual / whole.weeks.actual
            spread = np.sqrt(np.maximum(expected * (1 - expected), 0) / whole.weeks.actual)
            harm = (expected - actual) / spread
        if not np.isfinite(harm[own]):
            raise _TooLittleError("there was nobody to be counted, or too little to compare with")
        return self._effect(
            outcome, "%", part, harm=harm, spread=float(spread[own]),
            expected=float(expected[own]), actual=float(actual[own]),
        )  # fmt: skip

    def _tickets(self, row: dict[str, Any], _: dict[Outcome, Effect]) -> Effect:
        looked = self._looked(row, "tickets", after=WRITING, masked=WRITING, sign=-1)
        weeks, own = looked.weeks, looked.weeks.own
        return self._effect(
            "tickets", "tickets", looked, harm=looked.harm, spread=float(weeks.spread[own]),
            expected=float(weeks.expected[own]), actual=float(weeks.actual[own]),
        )  # fmt: skip


def _daily(source: Source, kpi: str) -> pa.Table:
    return source.ask([kpi], [_BY_DAY], ordered=False).table


def _satisfaction(source: Source) -> pa.Table:
    """The answers by day; where some days may not be shown, the longest time in which all may."""
    try:
        return source.with_sides(_SATISFACTION, [_BY_DAY])
    except NotAllowedError:
        shown = source.rows([_SATISFACTION], [_BY_DAY])
        runs = [
            [row[_BY_DAY] for row in rows]
            for is_hidden, rows in itertools.groupby(shown, lambda row: row[_SATISFACTION] is None)
            if not is_hidden
        ]
        if not runs:
            raise
        longest = max(runs, key=len)
        return source.with_sides(_SATISFACTION, [_BY_DAY], start=longest[0], end=longest[-1])


class _TooLittleError(CadranError):
    """An outcome of which nothing can be said."""
