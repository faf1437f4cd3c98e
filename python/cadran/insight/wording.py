"""Words and figures in the reader's language: what pages and reports are written with."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from cadran.formats import numbers, periods
from cadran.formats.words import named, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cadran.core.project.cards import Card

_SIGNS = {"ok": "●", "near": "◐", "bad": "▲", "": "○"}
_MINUTES_OF_HOUR, _HOURS_OF_DAY = 60, 24
_LONE = re.compile(r" ([:;?!»])|(«) ")


def _unbroken(text: str) -> str:
    """French signs beside the words that they belong to, so that no line begins with one."""
    return _LONE.sub(lambda found: f"{found[2] or ''}{numbers.WIDE}{found[1] or ''}", text)


class Words:
    """The words and figures of one language.

    `words("overview")` gives the words of a key with its places filled in.
    """

    def __init__(
        self, lang: str, zone: str = "UTC", *, more: Mapping[str, str] | None = None
    ) -> None:
        """Speak `en` or `fr` with the time of a zone; `more` are words beside those of pages."""
        self.lang = lang
        self.zone = zone
        self._words = words("pages", lang) | dict(more or {})

    def __call__(self, key: str, /, **places: Any) -> str:
        """The words of a key."""
        text = self._words[key]
        if places:
            text = text.format(**places)
        return _unbroken(text) if self.lang == "fr" else text

    def name(self, name: str) -> str:
        """A dimension, scope or service in words: those there are for it, else the name itself."""
        return named(name, self.lang, self._words)

    def member(self, value: Any) -> str:
        """A member of a dimension: what the project calls it, else its value in the data."""
        return self._words.get(f"name_{value}", str(value))

    def names(self, names: Iterable[str]) -> dict[str, str]:
        """Dimensions in words; two of the same word are told apart by what they are of."""
        labels = {name: self.name(name) for name in names}
        texts = list(labels.values())
        return {
            name: f"{text} ({self.name(name.split('__')[-2]).lower()})"
            if texts.count(text) > 1 and "__" in name
            else text
            for name, text in labels.items()
        }

    def count(self, key: str, number: int, **places: Any) -> str:
        """The words of a key in the plural that a number takes; French has one up to below two."""
        is_one = abs(number) < 2 if self.lang == "fr" else number == 1  # noqa: PLR2004
        figure = numbers.number(number, lang=self.lang)
        return self(f"{key}_one" if is_one else f"{key}_many", n=figure, **places)

    def label(self, card: Card) -> str:
        """A KPI's label."""
        return card.localized(self.lang).label

    def value(self, value: Any, card: Card) -> str:
        """A KPI's value with its unit."""
        return numbers.measure(value, card.unit, decimals=card.decimals, lang=self.lang)

    def change(self, value: Any, base: Any, card: Card) -> str:
        """How much a KPI changed: in per cent, in points for a rate."""
        return numbers.change(value, base, card.unit, decimals=card.decimals, lang=self.lang)

    def amount(self, value: Any, card: Card) -> str:
        """A change as an amount with its sign."""
        return numbers.change_of(value, card.unit, decimals=card.decimals, lang=self.lang)

    def short(self, value: Any, unit: str = "") -> str:
        """A value short enough for the end of a line."""
        return numbers.short(value, unit, lang=self.lang)

    def number(self, value: Any, decimals: int = 0) -> str:
        """A number without a unit."""
        return numbers.number(value, decimals=decimals, lang=self.lang)

    def share(self, value: Any, decimals: int = 0) -> str:
        """A fraction in per cent."""
        return numbers.measure(value, "%", decimals=decimals, lang=self.lang)

    def target(self, share: Any) -> str:
        """A target in per cent, with every digit that it was set with."""
        text = format((share * 100).normalize(), "f")
        return self.share(share, len(text.partition(".")[2]))

    def days(self, first: dt.date, last: dt.date) -> str:
        """A range of days."""
        return periods.days(first, last, self.lang)

    def period(self, start: dt.date, grain: str) -> str:
        """A period."""
        return periods.label(start, grain, self.lang)

    def day(self, at: dt.date, *, year: bool = True) -> str:
        """A day."""
        return periods.day(at, self.lang, "d MMM y" if year else "d MMM")

    def instant(self, at: dt.datetime | None, *, year: bool = True) -> str:
        """An instant (UTC) in the time of the zone."""
        if at is None:
            return numbers.DASH
        local = self.local(at)
        return f"{self.day(local, year=year)} {self.clock(at)}"

    def clock(self, at: dt.datetime) -> str:
        """The time of day of an instant (UTC), as the language writes it."""
        local = self.local(at)
        return (
            f"{local:%H}{numbers.THIN}h{numbers.THIN}{local:%M}"
            if self.lang == "fr"
            else f"{local:%H:%M}"
        )

    def local(self, at: dt.datetime) -> dt.datetime:
        """An instant (UTC) in the zone."""
        aware = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
        return aware.astimezone(ZoneInfo(self.zone))

    def hours(self, hours: float | None) -> str:
        """A length of time: 48 min, 2 h 34, 5.2 d."""
        if hours is None:
            return numbers.DASH
        minutes = round(hours * _MINUTES_OF_HOUR)
        if minutes < _MINUTES_OF_HOUR:
            return f"{minutes}{numbers.WIDE}min"
        if hours < 2 * _HOURS_OF_DAY:
            whole, rest = divmod(minutes, _MINUTES_OF_HOUR)
            return (
                f"{whole}{numbers.WIDE}h{numbers.WIDE}{rest:02d}"
                if rest
                else f"{whole}{numbers.WIDE}h"
            )
        days = self.number(hours / _HOURS_OF_DAY, 1)
        return f"{days}{numbers.WIDE}{'j' if self.lang == 'fr' else 'd'}"

    def burn(self, rate: float | None) -> str:
        """How fast a budget is spent: at 1, exactly that of the window."""
        if rate is None:
            return numbers.DASH
        return f"{self.number(rate, 1)}{numbers.WIDE}×"  # noqa: RUF001 - the sign of times

    def sign(self, tone: str) -> str:
        """The sign of a state, so that it is told without colour too."""
        return _SIGNS.get(tone, _SIGNS[""])
