"""The language of reports: words of `texts.yml`, figures and typography as print has them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.errors import CadranError
from cadran.formats import numbers, periods, strict_yaml
from cadran.formats.words import inner
from cadran.insight.wording import Words

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from cadran.core.project.cards import Card
    from cadran.insight.service_levels import Level

FILE = Path(__file__).with_name("texts.yml")
_MINUS = "\N{MINUS SIGN}"
_NEGATIVE = re.compile(r"(?<![\w\N{EN DASH}-])-(?=[\d€$£])")
_BEFORE_SIGN = re.compile(r"[ \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}]([;!?])")
_BEFORE_COLON = re.compile(r" :")
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=[%€])")
_MANY = 1_000_000


@cache
def texts(lang: str) -> dict[str, str]:
    """The texts of reports by key."""
    every: dict[str, dict[str, str]] = strict_yaml.read(FILE, CadranError)
    return {key: entry[lang] for key, entry in every.items()}


class Speech(Words):
    """Words, figures and sentences of a report in one language."""

    def __init__(
        self, lang: str, zone: str = "UTC", *, more: Mapping[str, str] | None = None
    ) -> None:
        """Speak `en` or `fr` with the time of a zone; `more` are words beside those of reports."""
        super().__init__(lang, zone, more=texts(lang) | dict(more or {}))

    def __call__(self, key: str, /, **places: Any) -> str:
        """The words of a key as print has them."""
        return self.print(super().__call__(key, **places))

    def print(self, text: str) -> str:
        """Apostrophes, minus signs, and spaces before signs that French sets apart."""
        text = _NEGATIVE.sub(_MINUS, text.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}"))
        if self.lang == "fr":
            text = _BEFORE_SIGN.sub(f"{numbers.THIN}\\1", text)
            text = _BEFORE_COLON.sub(f"{numbers.WIDE}:", text)
            text = _BEFORE_UNIT.sub(numbers.THIN, text)
            text = text.replace("« ", f"«{numbers.WIDE}").replace(" »", f"{numbers.WIDE}»")
        return text

    def label(self, card: Card) -> str:
        """A KPI's label."""
        return self.print(super().label(card))

    def person(self, address: str) -> str:
        """Who has an address: what the project calls them, else what stands before the @."""
        plain = address.partition("@")[0].replace(".", " ")
        return self.print(self._words.get(f"name_{address}", self.sentence(plain)))

    def inner(self, text: str) -> str:
        """A label within a sentence: its first letter small, but for an abbreviation."""
        return inner(text)

    def objective(self, level: Level) -> str:
        """An SLO within a sentence: Checkout, latency, 28 days."""
        label = self.inner(level.label)
        return label if level.title == level.label else f"{level.service}, {label}"

    def value(self, value: Any, card: Card) -> str:
        """A KPI's value with its unit."""
        return self.print(super().value(value, card))

    def change(self, value: Any, base: Any, card: Card) -> str:
        """How much a KPI changed: in per cent, in points for a rate."""
        return self.print(super().change(value, base, card))

    def amount(self, value: Any, card: Card) -> str:
        """A change as an amount with its sign."""
        return self.print(super().amount(value, card))

    def brief(self, value: Any, card: Card) -> str:
        """A value as a key figure: money shortened, and counts of millions; a rate as it is."""
        is_money = numbers.SYMBOLS.get(card.unit) in numbers.CURRENCIES
        if card.unit == "%" or (not is_money and value is not None and abs(value) < _MANY):
            return self.value(value, card)
        return self.print(numbers.short(value, card.unit, decimals=card.decimals, lang=self.lang))

    def money(self, value: Any, currency: str, decimals: int = 0) -> str:
        """An amount of money."""
        return self.print(numbers.measure(value, currency, decimals=decimals, lang=self.lang))

    def listed(self, names: Sequence[str]) -> str:
        """Names one after the other: A, B and C."""
        if len(names) < 2:  # noqa: PLR2004 - one stands alone
            return "".join(names)
        return f"{', '.join(names[:-1])} {self('and')} {names[-1]}"

    def clauses(self, parts: Sequence[str]) -> str:
        """Clauses of one sentence, a semicolon between."""
        return self.print((" ; " if self.lang == "fr" else "; ").join(parts))

    def spelled(self, number: int, *, is_feminine: bool = False) -> str:
        """A small number as a word; from eleven on as a figure."""
        forms = self("numbers_f" if is_feminine and self.lang == "fr" else "numbers").split()
        return forms[number] if 0 <= number < len(forms) else self.number(number)

    def counted(
        self, key: str, number: int, *, total: int | None = None, is_feminine: bool = False,
        **places: Any,
    ) -> str:  # fmt: skip
        """The words of a key in the plural of a number, which is spelled out.

        Args:
            key: of the words, without the ending of a plural.
            number: of the things.
            total: of how many; where there is one alone, it is not counted.
            is_feminine: whether French counts in the feminine.
            places: what else fills the words in.
        """
        if total is not None:
            places["all"] = self.spelled(total, is_feminine=is_feminine)
            if total == 1:
                return self(f"{key}_only" if number else f"{key}_only_none", **places)
        is_one = number < 2 if self.lang == "fr" else number == 1  # noqa: PLR2004 - French has one plural from two on
        form = f"{key}_none" if not number and f"{key}_none" in texts(self.lang) else ""
        form = form or (f"{key}_one" if is_one else f"{key}_many")
        return self(form, n=self.spelled(number, is_feminine=is_feminine), **places)

    def sentence(self, text: str) -> str:
        """The text with a capital at its start."""
        return text[:1].upper() + text[1:]

    def date(self, day: dt.date, *, year: bool = True) -> str:
        """A day in full: 30 September 2026, 1er octobre 2026."""
        text = periods.day(day, self.lang, "d MMMM y" if year else "d MMMM")
        return text.replace(" ", numbers.WIDE, 1)

    def long_period(self, start: dt.date, grain: str) -> str:
        """A period in full: 3rd quarter 2026."""
        if grain != "quarter":
            return self.period(start, grain)
        from babel.dates import format_date

        return str(format_date(start, "QQQQ y", locale=self.lang))

    def short_period(self, start: dt.date, grain: str) -> str:
        """A period at the head of a column."""
        return periods.short(start, grain, self.lang, year=True)
