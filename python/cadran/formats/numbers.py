"""Numbers, changes and sparklines as people read them, in English and in French."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

THIN = "\N{NARROW NO-BREAK SPACE}"
WIDE = "\N{NO-BREAK SPACE}"
DASH = "\N{EN DASH}"
BARS = "▁▂▃▄▅▆▇█"
SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "hours": "h", "minutes": "min", "seconds": "s"}
SHORT = {"%", "ms", "h", "min", "s"}
CURRENCIES = {"€", "$", "£"}


def number(value: Any, *, decimals: int = 0, lang: str = "en", sign: bool = False) -> str:
    """The number with grouped thousands, rounded half up; a dash where there is no value."""
    exact = _decimal(value)
    if exact is None:
        return DASH
    rounded = exact.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
    if not rounded:
        rounded = abs(rounded)  # no "-0"
    text = f"{rounded:{'+' if sign and rounded else ''},.{decimals}f}"
    return text if lang == "en" else text.translate(_signs(lang))


@cache
def _signs(lang: str) -> dict[int, str]:
    """How a language groups thousands and writes the decimal point."""
    from babel import Locale

    signs = Locale.parse(lang).number_symbols["latn"]
    return str.maketrans({",": signs["group"], ".": signs["decimal"]})


def measure(value: Any, unit: str, *, decimals: int = 0, lang: str = "en") -> str:
    """The value with its unit: a `%` is stored as a fraction and shown times 100.

    Units that are plain nouns (orders, tickets) are left to the label beside the number.
    """
    exact = _decimal(value)
    if exact is None:
        return DASH
    if unit == "%":
        exact *= 100
    return with_unit(number(exact, decimals=decimals, lang=lang), unit, lang=lang)


_FROM = 10_000
_LARGE = (
    (Decimal(1000), {"en": "k", "fr": "k"}), (Decimal(10) ** 6, {"en": "M", "fr": "M"}),
    (Decimal(10) ** 9, {"en": "bn", "fr": "Md"}),
)  # fmt: skip


def short(value: Any, unit: str, *, top: Any = None, decimals: int = 0, lang: str = "en") -> str:
    """The value short enough for an axis or the end of a line: 453 k€, €1.2M.

    Args:
        value: the value.
        unit: as of `measure`; a `%` is stored as a fraction.
        top: the greatest value beside it, which decides for all whether they are in thousands.
        decimals: of a rate, which is never shortened.
        lang: of the number.
    """
    exact = _decimal(value)
    if exact is None:
        return DASH
    if unit == "%":
        places = _places(exact * 100)
        return measure(value, unit, decimals=min(places, max(decimals, 1)), lang=lang)
    greatest: Decimal = abs(_decimal(value if top is None else top) or exact)
    if greatest < _FROM or not exact:
        places = 0 if exact == exact.to_integral() or greatest >= 100 else 1 if greatest >= 1 else 2  # noqa: PLR2004 - digits that can be told apart
        return measure(value, unit, decimals=places, lang=lang)
    size, letter = _size(greatest, lang)
    scaled = exact / size
    most = 0 if greatest >= 100 * size else 1 if greatest >= 10 * size else 2
    return _lettered(scaled, min(most, _places(scaled)), letter, unit, lang)


def axis_texts(values: Sequence[Any], unit: str, *, lang: str = "en") -> list[str]:
    """The round numbers of an axis: all in one size with as many decimals, zero without any.

    Args:
        values: from one end to the other.
        unit: as of `measure`; a `%` is stored as a fraction.
        lang: of the numbers.
    """
    exact = [_decimal(round(value, 12)) or Decimal(0) for value in values]
    greatest = max((abs(value) for value in exact), default=Decimal(0))
    size, letter = (Decimal(1), "") if unit == "%" or greatest < _FROM else _size(greatest, lang)
    scaled = [value / size for value in exact]
    places = max((_places(value * 100 if unit == "%" else value) for value in scaled), default=0)
    return [
        _lettered(value, places, letter, unit, lang)
        if letter and value
        else measure(value, unit, decimals=places if value else 0, lang=lang)
        for value in scaled
    ]


def _size(greatest: Decimal, lang: str) -> tuple[Decimal, str]:
    """By what numbers are divided that go up to one, and the letter that says so."""
    size, names = next((s for s in _LARGE if round(greatest / s[0]) < 1000), _LARGE[-1])  # noqa: PLR2004 - else the next size tells it
    return size, names[lang]


def _places(exact: Decimal) -> int:
    """The decimals that a number has."""
    return max(0, -int(exact.normalize().as_tuple().exponent))


def _lettered(scaled: Decimal, places: int, letter: str, unit: str, lang: str) -> str:
    text, symbol = number(scaled, decimals=places, lang=lang), SYMBOLS.get(unit, unit)
    if lang == "fr":
        return f"{text}{WIDE}{letter}{symbol if symbol in CURRENCIES else ''}"
    return f"{with_unit(text, unit, lang=lang) if symbol in CURRENCIES else text}{letter}"


def with_unit(text: str, unit: str, *, lang: str = "en") -> str:
    """The text of a number with the symbol of its unit in the place the language wants."""
    symbol = SYMBOLS.get(unit, unit)
    if symbol in CURRENCIES:
        if lang == "fr":
            return f"{text}{WIDE}{symbol}"
        return f"-{symbol}{text[1:]}" if text.startswith("-") else f"{symbol}{text}"
    if symbol == "%":
        return f"{text}{THIN}%" if lang == "fr" else f"{text}%"
    return f"{text}{WIDE}{symbol}" if symbol in SHORT else text


def change(value: Any, before: Any, unit: str, *, decimals: int = 1, lang: str = "en") -> str:
    """The change from `before` to `value`: in percent for amounts, in points for a `%`.

    Points have the decimals of the rate itself; percent have one.
    """
    now, then = _decimal(value), _decimal(before)
    if now is None or then is None or (unit != "%" and not then):
        return DASH
    if unit == "%":
        points = number((now - then) * 100, decimals=max(decimals, 1), lang=lang, sign=True)
        return f"{points}{WIDE}{'pt' if lang == 'fr' else 'pp'}"
    percent = number((now - then) / abs(then) * 100, decimals=1, lang=lang, sign=True)
    return with_unit(percent, "%", lang=lang)


def change_of(value: Any, unit: str, *, decimals: int = 0, lang: str = "en") -> str:
    """An amount of change with its sign and unit: a change of a `%` is in points."""
    exact = _decimal(value)
    if exact is None:
        return DASH
    if unit == "%":
        points = number(exact * 100, decimals=decimals, lang=lang, sign=True)
        return f"{points}{WIDE}{'pt' if lang == 'fr' else 'pp'}"
    text = number(abs(exact), decimals=decimals, lang=lang)
    return f"{'-' if exact < 0 else '+'}{with_unit(text, unit, lang=lang)}"


def sparkline(values: list[Any]) -> str:
    """One bar for each value, from the lowest to the highest; a dot where there is none."""
    numbers = [exact for value in values if (exact := _decimal(value)) is not None]
    if not numbers:
        return "·" * len(values)
    low, span = min(numbers), max(numbers) - min(numbers)
    marks = []
    for value in values:
        exact = _decimal(value)
        if exact is None:
            marks.append("·")
        elif not span:
            marks.append(BARS[len(BARS) // 2])
        else:
            marks.append(BARS[int((exact - low) / span * (len(BARS) - 1))])
    return "".join(marks)


def _decimal(value: Any) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else None
    exact = Decimal(value)
    return exact if exact.is_finite() else None


def folded(text: str) -> str:
    """The text without accents and capitals, to sort and search by."""
    import unicodedata

    plain = unicodedata.normalize("NFKD", text)
    return "".join(sign for sign in plain if not unicodedata.combining(sign)).casefold()
