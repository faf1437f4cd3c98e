"""Dose and response: what conversion is like in hours of more errors or slower answers.

Hours are sorted by the dose into buckets. What their sessions were to order is known from the hours
of the lowest bucket: the conversion of the same hour of the week, times the level of that week. The
response is orders over orders expected, so that neither the time of day nor the season is taken for
an effect. Bounds of 90 % come from drawing whole weeks anew, as hours of a week are alike (block
bootstrap; Künsch, 1989), always with the same draws.

It is no proof of a cause: load makes answers slow and brings other visitors too, and incidents take
other things down with them. The lowest bucket is 1 by construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cadran.core.project import calendar as calendars
from cadran.core.warehouse.dialects import literal
from cadran.errors import QueryError
from cadran.insight.counterfactual import HOUR, TAIL, WEEK_HOURS, Series, Timeline, instants

if TYPE_CHECKING:
    from cadran.core.project.calendar import Calendar
    from cadran.insight.counterfactual import Flags, Floats, Ints
    from cadran.insight.source import Source

METHOD = "dose 1"
SHARES = (0.0, 0.5, 0.9, 0.99, 0.999, 1.0)  # of the hours, between which a bucket lies
LEAST_WEEKS = 8
_DRAWS = 1_000
_CONVERSION = "conversion_rate"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Hours of a like dose.

    Attributes:
        least: dose.
        most: dose.
        hours: how many.
        sessions: that began in them.
        conversion: orders of these sessions by session.
        response: orders over those expected of the same hours of the week with the least dose.
        lower: bound of the response.
        upper: bound of it.
    """

    least: float
    most: float
    hours: int
    sessions: int
    conversion: float
    response: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Dose:
    """The buckets of a dose, the least first.

    Attributes:
        kpi: the dose.
        service: of which; None for all together.
        unit: of the dose; `%` is a fraction.
        buckets: of hours.
        weeks: how many were drawn from.
        masked_hours: holidays and promotions, which are left out.
    """

    kpi: str
    service: str | None
    unit: str
    buckets: tuple[Bucket, ...]
    weeks: int
    masked_hours: int

    def to_rows(self) -> list[dict[str, Any]]:
        """One row a bucket, for JSON and CSV."""
        return [
            {"kpi": self.kpi, "service": self.service, "unit": self.unit}
            | {name: getattr(bucket, name) for name in Bucket.__slots__}
            | {"weeks": self.weeks, "masked_hours": self.masked_hours, "method": METHOD}
            for bucket in self.buckets
        ]


def response(
    source: Source,
    kpi: str = "error_rate",
    service: str | None = None,
    *,
    calendar: Calendar | None = None,
) -> Dose:
    """What conversion is like by buckets of a dose.

    Args:
        source: where numbers come from.
        kpi: the dose, a KPI that can be asked by the hour.
        service: the name of one service, such as `Checkout`.
        calendar: holidays and promotions; by default those of `cadran_calendar.yml`.

    Raises:
        QueryError: the KPI does not differ between hours, or there are too few weeks.
        CadranError: as `Layer.query`.
    """
    where = () if service is None else (f"service__service_name = {literal(service)}",)
    table = source.ask([kpi], ["metric_time__hour"], where, ordered=False).table
    card = next((card for card in source.kpis if card.name == kpi), None)
    at, dose = instants(table.column(0)), _floats(table.column(kpi))
    there = ~np.isnan(dose) & ~np.isnat(at)
    if not there.any():
        raise QueryError(f"{kpi} has no values{f' of {service}' if service else ''}.")
    calendar = calendar or calendars.read(source.layer.project.root)
    timeline = Timeline.spanning(at[there].min().item(), at[there].max().item(), calendar.time_zone)
    by_hour = np.full(timeline.hours, np.nan)
    hours = timeline.minutes(at[there]) // HOUR
    by_hour[hours] = dose[there]
    orders, sessions = (
        _hourly(source, timeline, name, metric)
        for name, metric in (("order_count", "orders_placed"), (_CONVERSION, "sessions_started"))
    )
    ordinary = _ordinary(timeline, calendar)
    ordinary[timeline.irregular] = False
    known = ~np.isnan(by_hour) & (sessions > 0)
    buckets, weeks = _buckets(by_hour, orders, sessions, known & ordinary, kpi)
    return Dose(
        kpi, service, card.unit if card else "", buckets, weeks, int((known & ~ordinary).sum())
    )


def _buckets(
    dose: Floats, orders: Floats, sessions: Floats, usable: Flags, kpi: str
) -> tuple[tuple[Bucket, ...], int]:
    edges = np.unique(np.quantile(dose[usable], SHARES)) if usable.any() else np.zeros(1)
    if len(edges) < 3:  # noqa: PLR2004 - two buckets have three edges
        raise QueryError(f"{kpi} is the same in nearly all hours: there is nothing to compare.")
    bucket = np.searchsorted(edges[1:-1], dose, side="right")
    hours = np.maximum(np.arange(len(dose)) - int(np.flatnonzero(usable)[0]), 0)
    place, week = hours % WEEK_HOURS, hours // WEEK_HOURS
    reference = usable & (bucket == 0)
    usual = _ratio(_sums(orders, place, reference), _sums(sessions, place, reference))[place]
    level = _ratio(_sums(orders, week, reference), _sums(sessions * usual, week, reference))[week]
    expected = sessions * usual * level
    counted = usable & np.isfinite(expected)
    weeks = np.unique(week[counted])
    if len(weeks) < LEAST_WEEKS:
        raise QueryError(f"There are {len(weeks)} weeks of {kpi}, and it takes {LEAST_WEEKS}.")
    count = len(edges) - 1
    cell = np.where(counted, np.searchsorted(weeks, week) * count + bucket, 0)
    actual, due = (
        _sums(values, cell, counted, len(weeks) * count).reshape(len(weeks), count)
        for values in (orders, expected)
    )
    draws = np.random.default_rng(20_240_229).multinomial(
        len(weeks), np.full(len(weeks), 1 / len(weeks)), _DRAWS
    )
    drawn = _ratio(draws @ actual, draws @ due)
    result = []
    for number in range(count):
        inside = counted & (bucket == number)
        if not inside.any():
            continue
        lower, upper = np.nanquantile(drawn[:, number], [TAIL, 1 - TAIL])
        visits = sessions[inside].sum()
        result.append(
            Bucket(
                float(dose[inside].min()), float(dose[inside].max()), int(inside.sum()),
                int(visits), float(orders[inside].sum() / visits),
                float(actual[:, number].sum() / due[:, number].sum()), float(lower), float(upper),
            )
        )  # fmt: skip
    return tuple(result), len(weeks)


def _hourly(source: Source, timeline: Timeline, kpi: str, metric: str) -> Floats:
    table = source.by_time(kpi, metric, "session__started_at__hour")
    at, counts = instants(table.column(0)), _floats(table.column(1))
    dated = ~np.isnat(at)
    return Series.of(timeline, timeline.minutes(at[dated]), counts[dated]).hourly


def _ordinary(timeline: Timeline, calendar: Calendar) -> Flags:
    ordinary = np.ones(timeline.hours, dtype=np.bool_)
    for first, last in calendar.regimes():
        begin = (first - timeline.first.date()).days * 24
        end = ((last - timeline.first.date()).days + 1) * 24
        ordinary[max(begin, 0) : max(end, 0)] = False
    return ordinary


def _sums(values: Floats, groups: Ints, among: Flags, count: int = 0) -> Floats:
    most = max(count, int(groups.max()) + 1)
    finite = among & np.isfinite(values)
    return np.bincount(groups[finite], values[finite], most).astype(np.float64)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """A quotient; not a number where there is nothing to divide by."""
    quotient: Floats = np.full(np.shape(part), np.nan)
    np.divide(part, whole, out=quotient, where=whole > 0)
    return quotient


def _floats(column: Any) -> Floats:
    values: Floats = column.to_numpy(zero_copy_only=False).astype(np.float64)
    return values
