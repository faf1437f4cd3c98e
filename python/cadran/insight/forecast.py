"""What a KPI will be at the end of the running period, with an interval from past errors.

The days that are left are forecast by the seasonal naive method with a recent level: a day is the
mean of its weekday over the last eight weeks, times the mean of the last four weeks over that of
the eight. The same forecast is made at past days, a whole number of weeks back, as many days into a
period and with as many days left; what it missed by then gives the interval (split conformal: Vovk,
Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005). Whether the interval holds what
it promises is tried on the past as well: at each such day with the errors that were known by then.

Numerator and denominator of a ratio are forecast each, and divided then.
"""

from __future__ import annotations

import datetime as dt
import math
import statistics
from dataclasses import dataclass
from itertools import starmap
from typing import TYPE_CHECKING, Any

from cadran.core.components import DENOMINATOR, NUMERATOR
from cadran.core.days import Days
from cadran.core.semantics.metrics import SEMI_ADDITIVE
from cadran.errors import NotForecastError, NotGovernedError, QueryError, UnknownNameError
from cadran.formats import periods
from cadran.formats.words import words
from cadran.insight.breaks import sentence
from cadran.insight.evidence import Evidence, breaks_within, card_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cadran.core.project.cards import Card
    from cadran.insight.drivers import Number
    from cadran.insight.source import Source

METHOD = "seasonal-naive-1"
PERIODS = ("week", "month", "quarter", "year")
LEVEL = 0.9
_WEEK = periods.OF_WEEK
_PROFILE = 8 * _WEEK  # days whose weekdays are the pattern
_RECENT = 4 * _WEEK  # days whose mean is the level
_ERRORS = 20  # past errors that an interval of 90 % takes, so that one lies beyond each end
_HISTORY = 3 * 366
_CHECKED = 1e-9


@dataclass(frozen=True, slots=True)
class Forecast:
    """A KPI at the end of a period that is running.

    Attributes:
        card: of the KPI.
        grain: length of the period.
        period: its days.
        so_far: the value of its whole days; None while it has none.
        value: the forecast of the whole period.
        low: the lower end of the interval.
        high: the upper end.
        level: how often the interval is meant to hold the value.
        coverage: how often it did, at past days; None where too little is known of them.
        coverage_count: at how many past days that was tried.
        error: the median distance of past forecasts from the value, relative to it; None where no
            value was other than zero.
        path: of each day that is left, what is forecast for it.
        evidence: the days behind it, and the number of past errors.
    """

    card: Card
    grain: str
    period: Days
    so_far: Number | None
    value: float
    low: float
    high: float
    level: float
    coverage: float | None
    coverage_count: int
    error: float | None
    path: tuple[tuple[dt.date, float | None], ...]
    evidence: Evidence
    method: str = METHOD

    def to_rows(self, lang: str = "en") -> list[dict[str, Any]]:
        """One row."""
        return [
            {
                "kpi": self.card.name, "label": self.card.localized(lang).label,
                "unit": self.card.unit, "grain": self.grain, "start": self.period.start,
                "end": self.period.end, "complete_through": self.evidence.complete_through,
                "so_far": self.so_far, "forecast": self.value, "low": self.low, "high": self.high,
                "level": self.level, "coverage": self.coverage,
                "coverage_count": self.coverage_count, "errors": self.evidence.count,
                "median_error": self.error, "method": self.method,
            }
        ]  # fmt: skip

    def to_dict(self, lang: str = "en") -> dict[str, Any]:
        """It as plain values, its evidence beside it."""
        return {
            **self.to_rows(lang)[0],
            "path": [{"day": day, "value": value} for day, value in self.path],
            "notes": self.notes(lang), "evidence": self.evidence.to_dict(),
        }  # fmt: skip

    def notes(self, lang: str = "en") -> list[str]:
        """What has to be said beside the numbers."""
        w = words("forecast", lang)
        notes = [w["method"].format(count=self.evidence.count, method=self.method)]
        if self.coverage is None:
            notes.append(w["unknown_coverage"])
        return notes + [sentence(b, self.card, "day", lang) for b in self.evidence.breaks]


def to_end(
    source: Source, kpi: str, grain: str = "month", *, where: Iterable[str] = ()
) -> Forecast:
    """The forecast of a KPI for the period that is running: the one after its last whole day.

    Args:
        source: the numbers.
        kpi: its name.
        grain: length of the period.
        where: conditions on the rows.

    Raises:
        UnknownNameError: there is no such KPI or grain, or not for whoever asks.
        NotGovernedError: the KPI is not asked by day, or not by this grain.
        NotForecastError: its days do not add up to longer periods, its history is too short, or a
            value is hidden.
        QueryError: there is nothing to forecast from.
        CadranError: as `Layer.query`.
    """
    card, where = card_of(source, kpi), tuple(where)
    if grain not in PERIODS:
        raise UnknownNameError("grain", grain, PERIODS)
    for wanted in ("day", grain):
        if wanted not in card.grains:
            raise NotGovernedError(
                f"{kpi} is not asked by {wanted}, which a forecast of the {grain} needs; its card"
                f" has {', '.join(card.grains)}: ask {card.owner.business}."
            )
    through = source.complete_through(kpi)
    if through is None:
        raise QueryError(f"There are no data behind {kpi}.")
    start = periods.start_of(through + dt.timedelta(days=1), grain)
    period = Days(start, periods.last_of(start, grain))
    history = Days(through - dt.timedelta(days=_HISTORY - 1), through)
    series, history, has_gaps = _series(source, card, history, where)
    elapsed, left = (through - start).days + 1, (period.end - through).days
    weeks = math.ceil(left / _WEEK) + _ERRORS - 1
    needed = max(_PROFILE, elapsed) + _WEEK * weeks
    if history.length < needed:
        raise NotForecastError(
            f"{kpi} has {history.length} whole days of history, from {history}; a forecast of"
            f" {left} days needs {needed}: the days before the first forecast that is tried, and"
            f" {_ERRORS} past weeks whose errors are known.",
            "short",
        )
    breaks = breaks_within(source, card, history)
    known = Days(start, through) if elapsed else history
    so_far = _asked(source, card, series, known, where, has_gaps=has_gaps)
    rolling = _Rolling(series, elapsed, left)
    errors = {origin: rolling.errors(origin) for origin in rolling.origins()}
    low, high = rolling.interval(history.length, list(errors.values()))
    coverage, tried = rolling.coverage(errors)
    first = through + dt.timedelta(days=1)
    ahead = [_ahead(one, history.length, left) for one in series]
    value = rolling.whole(history.length, [sum(days) for days in ahead])
    if value is None or low is None or high is None:
        raise QueryError(f"{kpi} divides by nothing in the days that are forecast.")
    return Forecast(
        card, grain, period, so_far if elapsed else None, value, low, high, LEVEL, coverage, tried,
        rolling.median_error(errors),
        tuple(
            (first + dt.timedelta(days=place), _value(parts))
            for place, parts in enumerate(zip(*ahead, strict=True))
        ),
        Evidence((kpi,), (history,), len(errors), through, breaks),
    )  # fmt: skip


def _series(
    source: Source, card: Card, days: Days, where: tuple[str, ...]
) -> tuple[list[list[float]], Days, bool]:
    """The days of a KPI as one series, of a ratio as two; from when on; whether any lack a value.

    Raises:
        NotForecastError: its days do not add up to longer periods, or a value is hidden.
        QueryError: there are none.
    """
    kpi, column = card.name, "metric_time__day"
    span = {"where": where, "start": days.start, "end": days.end}
    graph = source.layer.metric_graph
    is_level = graph.additivity(kpi) == SEMI_ADDITIVE
    is_distinct = graph.accrues(kpi) and not graph.is_additive(kpi)
    if is_level or is_distinct or graph.needs_time(kpi) or graph.accumulates(kpi):
        raise _not_summed(kpi)
    if graph.is_additive(kpi):
        rows, names = source.rows([kpi], [column], **span), [kpi]
    else:
        rows = source.rows_with_sides(kpi, [column], **span)
        has_both = bool(rows) and NUMERATOR in rows[0]
        names = [NUMERATOR if has_both else kpi, DENOMINATOR]
    by_day = {row[column]: row for row in rows if row[column] is not None}
    if not by_day:
        raise QueryError(f"{kpi} has no value from {days}.")
    if names == [kpi] and any(row[kpi] is None for row in by_day.values()):
        raise _hidden(kpi)
    history = Days(min(by_day), days.end)
    series: list[list[float]] = [[] for _ in names]
    for place in range(history.length):
        row = by_day.get(history.start + dt.timedelta(days=place), {})
        # A day without rows adds nothing.
        parts = [float(row.get(name) or 0) for name in names]
        if names[0] == kpi and len(names) > 1:
            parts[0] *= parts[1]  # of a conversion rate, what was converted
        for one, part in zip(series, parts, strict=True):
            one.append(part)
    has_gaps = any(row[kpi] is None and row.get(DENOMINATOR) for row in by_day.values())
    return series, history, has_gaps


def _hidden(kpi: str) -> NotForecastError:
    return NotForecastError(
        f"{kpi} has days whose value may not be shown, so it is not forecast.", "hidden"
    )


def _not_summed(kpi: str) -> NotForecastError:
    return NotForecastError(
        f"The days of {kpi} do not add up to longer periods, as those of a level, a window or a"
        " distinct count do not: it is not forecast by adding days.",
        "sums",
    )


def _asked(  # noqa: PLR0913 - a question, and what is known of its days
    source: Source,
    card: Card,
    series: list[list[float]],
    days: Days,
    where: tuple[str, ...],
    *,
    has_gaps: bool,
) -> Number | None:
    """The value over some last days as the warehouse gives it, held against that of the days.

    Raises:
        NotForecastError: they differ: the days do not add up, or those without a value are hidden.
    """
    rows = source.rows([card.name], where=where, start=days.start, end=days.end)
    value: Number | None = rows[0][card.name] if rows else None
    added = _value([sum(one[-days.length :]) for one in series])
    if abs(float(value or 0) - (added or 0)) > _CHECKED * max(abs(float(value or 0)), 1e-9):
        raise _hidden(card.name) if has_gaps else _not_summed(card.name)
    return value


def _value(parts: Sequence[float]) -> float | None:
    """The value of a KPI by its one or two sides."""
    if len(parts) == 1:
        return parts[0]
    return parts[0] / parts[1] if parts[1] else None


def _ahead(days: list[float], origin: int, left: int) -> list[float]:
    """The forecast of the days from an index on."""
    last = days[origin - _PROFILE : origin]
    weekdays = [statistics.fmean(last[place::_WEEK]) for place in range(_WEEK)]
    recent, usual = statistics.fmean(last[-_RECENT:]), statistics.fmean(last)
    level = recent / usual if recent > 0 and usual > 0 else 1.0
    return [weekdays[place % _WEEK] * level for place in range(left)]


class _Rolling:
    """The forecast of a period made at past days, as far into it and with as many days left."""

    def __init__(self, series: list[list[float]], elapsed: int, left: int) -> None:
        self._series, self._elapsed, self._left = series, elapsed, left
        self._length = len(series[0])
        self._is_signed = [min(one) < 0 for one in series]

    def origins(self) -> list[int]:
        """The indices of the past days, earliest first, whose days left are over by now."""
        weeks = range(math.ceil(self._left / _WEEK), self._length // _WEEK)
        least = max(_PROFILE, self._elapsed)
        return sorted(self._length - _WEEK * w for w in weeks if self._length - _WEEK * w >= least)

    def errors(self, origin: int) -> list[float]:
        """What the forecasts of the days left missed, in parts of their usual size."""
        left = slice(origin, origin + self._left)
        return [
            (sum(one[left]) - sum(_ahead(one, origin, self._left))) / self._scale(one, origin)
            for one in self._series
        ]

    def whole(self, origin: int, rest: list[float]) -> float | None:
        """The value of the period, of which the days left come to so much."""
        so_far = [sum(one[origin - self._elapsed : origin]) for one in self._series]
        return _value([known + more for known, more in zip(so_far, rest, strict=True)])

    def interval(self, origin: int, errors: list[list[float]]) -> tuple[float | None, float | None]:
        """The ends of the interval at a day, by the errors that were known then."""
        centre = [sum(_ahead(one, origin, self._left)) for one in self._series]
        scales = [self._scale(one, origin) for one in self._series]
        wholes = []
        for missed in errors:
            rest = [c + e * s for c, e, s in zip(centre, missed, scales, strict=True)]
            rest = list(starmap(self._bounded, zip(rest, self._is_signed, strict=True)))
            whole = self.whole(origin, rest)
            if whole is not None:
                wholes.append(whole)
        count, tail = len(wholes), (1 - LEVEL) / 2
        if count < _ERRORS:
            return None, None
        wholes.sort()
        low = math.floor((count + 1) * tail + 1e-9)
        return wholes[max(low, 1) - 1], wholes[count - max(low, 1)]

    def coverage(self, errors: dict[int, list[float]]) -> tuple[float | None, int]:
        """How often the intervals of past days held the value, and at how many days."""
        held = []
        for origin in errors:
            known = [errors[e] for e in errors if e + self._left <= origin]
            low, high = self.interval(origin, known) if len(known) >= _ERRORS else (None, None)
            actual = self._actual(origin)
            if low is not None and high is not None and actual is not None:
                slack = 1e-12 * max(abs(low), abs(high))  # of sums in another order
                held.append(low - slack <= actual <= high + slack)
        return (sum(held) / len(held), len(held)) if held else (None, 0)

    def median_error(self, errors: dict[int, list[float]]) -> float | None:
        """The median distance of past forecasts from the value, relative to it."""
        distances = []
        for origin in errors:
            ahead = [sum(_ahead(one, origin, self._left)) for one in self._series]
            forecast, actual = self.whole(origin, ahead), self._actual(origin)
            if forecast is not None and actual:
                distances.append(abs(forecast - actual) / abs(actual))
        return statistics.median(distances) if distances else None

    def _actual(self, origin: int) -> float | None:
        left = slice(origin, origin + self._left)
        return self.whole(origin, [sum(one[left]) for one in self._series])

    def _scale(self, one: list[float], origin: int) -> float:
        size = statistics.fmean(map(abs, one[origin - _PROFILE : origin])) * self._left
        return size or 1.0

    @staticmethod
    def _bounded(rest: float, is_signed: bool) -> float:  # noqa: FBT001 - of a series, with its sum
        return rest if is_signed else max(rest, 0.0)
