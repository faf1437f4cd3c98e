"""Days that are compared with other days: of a period, of the same one before, of a year before."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from cadran.errors import QueryError, UnknownNameError
from cadran.formats import periods

COMPARISONS = ("previous", "year", "same_days")
_DAY = dt.timedelta(days=1)


class Days(NamedTuple):
    """Days from the first to the last, both included."""

    start: dt.date
    end: dt.date

    @property
    def length(self) -> int:
        """How many there are."""
        return (self.end - self.start).days + 1

    @property
    def grain(self) -> str | None:
        """The grain of which they are one whole period, the longest first; None for no period."""
        for grain in reversed(periods.GRAINS):
            begins = periods.start_of(self.start, grain) == self.start
            if begins and periods.last_of(self.start, grain) == self.end:
                return grain
        return None

    def label(self, lang: str = "en") -> str:
        """The days as people write them."""
        grain = self.grain
        if grain is not None:
            return periods.label(self.start, grain, lang)
        from babel.dates import format_interval

        return str(format_interval(self.start, self.end, "yMMMMd", locale=lang))

    def __str__(self) -> str:
        return f"{self.start} to {self.end}"


def of_period(start: dt.date, grain: str, through: dt.date | None) -> Days:
    """The days of a period, up to the last one that is whole while it is running.

    Args:
        start: the first day of the period.
        grain: its length.
        through: the last day that is whole; None where that is not known.

    Raises:
        QueryError: none of its days is whole yet.
    """
    end = periods.last_of(start, grain)
    if through is None:
        return Days(start, end)
    if through < start:
        raise QueryError(
            f"The {grain} of {start} has no whole day yet: the data are whole until {through}."
        )
    return Days(start, min(end, through))


def base_of(days: Days, comparison: str = "previous", grain: str | None = None) -> Days:
    """The days with which others are compared.

    A running period is compared with the same days of the other one, never with the whole.

    Args:
        days: the later days.
        comparison: `previous`, the period before; `year`, the same period of the year before;
            `same_days`, as many days on the same weekdays, the last ones before.
        grain: of the period that the days begin; None for days that are no period. These are
            compared with as many days just before, or 52 weeks before.

    Raises:
        UnknownNameError: there is no such comparison.
        QueryError: the calendar has no days so far back.
    """
    check(comparison)
    try:
        return _base_of(days, comparison, grain)
    except (OverflowError, ValueError):
        raise QueryError(
            f"There are no days so far before {days.start} to compare with: give a later start, or"
            " an earlier end."
        ) from None


def _base_of(days: Days, comparison: str, grain: str | None) -> Days:
    length = (days.length - 1) * _DAY
    if comparison == "same_days":
        start = days.start - -(-days.length // periods.OF_WEEK) * periods.OF_WEEK * _DAY
        return Days(start, start + length)
    if grain is None:
        back = days.length if comparison == "previous" else periods.OF_YEAR * periods.OF_WEEK
        return Days(days.start - back * _DAY, days.end - back * _DAY)
    if comparison == "previous":
        start = periods.shifted(days.start, grain, -1)
    else:
        start = periods.year_before(days.start, grain)
    last = periods.last_of(start, grain)
    if days.end == periods.last_of(days.start, grain):
        return Days(start, last)
    by_date = comparison == "year" and grain in periods.MONTHS
    return Days(start, min(periods.same_day(days.end) if by_date else start + length, last))


def is_same_dates(days: Days, base: Days) -> bool:
    """Whether days have the dates of others a year before, with or without 29 February."""
    return base == Days(periods.same_day(days.start), periods.same_day(days.end))


def check(comparison: str) -> None:
    """Refuse a comparison that there is not.

    Raises:
        UnknownNameError: it is none.
    """
    if comparison not in COMPARISONS:
        raise UnknownNameError("comparison", str(comparison), COMPARISONS)
