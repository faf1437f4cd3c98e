"""Days, weeks, months, quarters and years: where they start, end, and which come before."""

from __future__ import annotations

import datetime as dt

GRAINS = ("day", "week", "month", "quarter", "year")
MONTHS = {"month": 1, "quarter": 3, "year": 12}
NAMES = {
    "en": "January February March April May June July August September October November December",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}
OF_WEEK = 7
OF_YEAR = 52
# Of the longest month: what is refreshed once a month is not late before the month is over.
_LENGTHS = {
    "minute": dt.timedelta(minutes=1), "hour": dt.timedelta(hours=1), "day": dt.timedelta(days=1),
    "week": dt.timedelta(weeks=1), "month": dt.timedelta(days=31),
}  # fmt: skip


def length(duration: str) -> dt.timedelta:
    """The length of "3 hours", as a card writes it."""
    count, unit = duration.split()
    return int(count) * _LENGTHS[unit.removesuffix("s")]


def start_of(day: dt.date, grain: str) -> dt.date:
    """The first day of the period that holds the day; weeks start on Monday."""
    if grain == "day":
        return day
    if grain == "week":
        return day - dt.timedelta(days=day.weekday())
    months = MONTHS[grain]
    return day.replace(month=(day.month - 1) // months * months + 1, day=1)


def shifted(start: dt.date, grain: str, steps: int) -> dt.date:
    """The start of the period so many steps later, or earlier when negative."""
    if grain in {"day", "week"}:
        return start + dt.timedelta(days=steps * (1 if grain == "day" else OF_WEEK))
    months = start.year * 12 + start.month - 1 + steps * MONTHS[grain]
    return dt.date(months // 12, months % 12 + 1, 1)


def last_of(start: dt.date, grain: str) -> dt.date:
    """The last day of the period."""
    return shifted(start, grain, 1) - dt.timedelta(days=1)


def last_complete(until: dt.date, grain: str) -> dt.date:
    """The start of the last period that has ended by that day, the day itself included."""
    start = start_of(until, grain)
    return start if last_of(start, grain) <= until else shifted(start, grain, -1)


def year_before(start: dt.date, grain: str) -> dt.date:
    """The same period of the year before; for days and weeks 52 weeks back, the same weekday."""
    if grain in {"day", "week"}:
        return start - dt.timedelta(days=OF_YEAR * OF_WEEK)
    return shifted(start, grain, -12 // MONTHS[grain])


def is_coarser(grain: str, other: str) -> bool:
    """True when the grain is the longer of the two."""
    return GRAINS.index(grain) > GRAINS.index(other)


def label(start: dt.date, grain: str, lang: str = "en") -> str:
    """The period as people write it."""
    if grain == "year":
        return str(start.year)
    if grain == "quarter":
        return f"{'T' if lang == 'fr' else 'Q'}{(start.month + 2) // 3} {start.year}"
    if grain == "month":
        return f"{NAMES[lang].split()[start.month - 1]} {start.year}"
    day = f"{start:%d/%m/%Y}" if lang == "fr" else start.isoformat()
    if grain == "week":
        return f"semaine du {day}" if lang == "fr" else f"week of {day}"
    return day
