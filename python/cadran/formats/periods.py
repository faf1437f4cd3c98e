"""Days, weeks, months, quarters and years: where they start, end, and which come before."""

from __future__ import annotations

import datetime as dt
import re

from cadran.errors import QueryError

GRAINS = ("day", "week", "month", "quarter", "year")
MONTHS = {"month": 1, "quarter": 3, "year": 12}
OF_WEEK = 7
OF_YEAR = 52
# Of the longest month: what is refreshed once a month is not late before the month is over.
_LENGTHS = {
    "minute": dt.timedelta(minutes=1), "hour": dt.timedelta(hours=1), "day": dt.timedelta(days=1),
    "week": dt.timedelta(weeks=1), "month": dt.timedelta(days=31),
}  # fmt: skip


_FORMS = {
    "year": re.compile(r"([0-9]{4})"),
    "quarter": re.compile(r"([0-9]{4})-Q([1-4])", re.IGNORECASE),
    "month": re.compile(r"([0-9]{4})-([0-9]{2})"),
    "week": re.compile(r"([0-9]{4})-W([0-9]{2})", re.IGNORECASE),
    "day": re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})"),
}
_YEARS = range(1900, 3000)


def read(text: str) -> tuple[str, dt.date, dt.date]:
    """The grain of a period that people wrote, its first day, and the day after its last.

    Raises:
        QueryError: it is not written as 2026, 2026-Q4, 2026-10, 2026-W44 or 2026-10-31.
    """
    for grain, form in _FORMS.items():
        match = form.fullmatch(text.strip())
        if match is None:
            continue
        year, *rest = (int(number) for number in match.groups())
        if year not in _YEARS:
            break
        try:
            start = _start(grain, year, rest)
        except ValueError:
            break
        return grain, start, shifted(start, grain, 1)
    raise QueryError(
        f"'{text}' is no period: write 2026, 2026-Q4, 2026-10, 2026-W44 or 2026-10-31."
    )


def _start(grain: str, year: int, rest: list[int]) -> dt.date:
    if grain == "week":
        return dt.date.fromisocalendar(year, rest[0], 1)
    if grain == "quarter":
        return dt.date(year, 3 * rest[0] - 2, 1)
    month, day = [*rest, 1, 1][:2]
    return dt.date(year, month, day)


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
    """The last day of the period; of one that the calendar does not hold whole, that of it."""
    try:
        return shifted(start, grain, 1) - dt.timedelta(days=1)
    except (OverflowError, ValueError):
        return dt.date.max


def last_complete(until: dt.date, grain: str) -> dt.date:
    """The start of the last period that has ended by that day, the day itself included."""
    start = start_of(until, grain)
    return start if last_of(start, grain) <= until else shifted(start, grain, -1)


def year_before(start: dt.date, grain: str) -> dt.date:
    """The same period of the year before; for days and weeks 52 weeks back, the same weekday."""
    if grain in {"day", "week"}:
        return start - dt.timedelta(days=OF_YEAR * OF_WEEK)
    return shifted(start, grain, -12 // MONTHS[grain])


def same_day(day: dt.date) -> dt.date:
    """The same date of the year before; 28 February for the 29th."""
    try:
        return day.replace(year=day.year - 1)
    except ValueError:
        return day.replace(year=day.year - 1, day=28)


def is_coarser(grain: str, other: str) -> bool:
    """True when the grain is the longer of the two."""
    return GRAINS.index(grain) > GRAINS.index(other)


def label(start: dt.date, grain: str, lang: str = "en") -> str:
    """The period as people write it."""
    if grain == "year":
        return str(start.year)
    from babel.dates import format_date

    if grain in {"quarter", "month"}:
        return str(format_date(start, "QQQ y" if grain == "quarter" else "MMMM y", locale=lang))
    day = start.isoformat() if lang == "en" else str(format_date(start, "dd/MM/y", locale=lang))
    if grain == "week":
        return f"semaine du {day}" if lang == "fr" else f"week of {day}"
    return day


def short(start: dt.date, grain: str, lang: str = "en", *, year: bool = False) -> str:
    """The period as it stands below an axis: the month alone, with its year where that is asked."""
    if grain == "year":
        return str(start.year)
    from babel.dates import format_date

    form = {"quarter": "QQQ", "month": "MMM"}.get(grain, "d MMM")
    return str(format_date(start, f"{form} y" if year else form, locale=lang))


def days(first: dt.date, last: dt.date, lang: str = "en") -> str:
    """A range of days as people write it: 1-27 November 2026."""
    dash = "\N{EN DASH}"
    whole = "d MMMM y"
    if first == last:
        return day(last, lang, whole)
    if (first.year, first.month) == (last.year, last.month):
        return f"{_numeral(first, lang)}{dash}{day(last, lang, whole)}"
    begin = day(first, lang, "d MMM" if first.year == last.year else "d MMM y")
    return f"{begin} {dash} {day(last, lang, 'd MMM y')}"


def day(at: dt.date, lang: str, pattern: str) -> str:
    """A day by a pattern of Babel that begins with its number; French has a 1er of a month."""
    from babel.dates import format_date

    text = str(format_date(at, pattern, locale=lang))
    return f"{_numeral(at, lang)}{text.removeprefix(str(at.day))}"


def _numeral(at: dt.date, lang: str) -> str:
    return "1er" if lang == "fr" and at.day == 1 else str(at.day)
