"""What slides and sheets of a pack share: words, format codes of numbers, and fixed bytes.

A format code is written once for all languages: `,` and `.` stand for what the reader's own Office
groups and divides with. `[$-40C]` says that French is meant, which LibreOffice obeys. What a code
cannot say, such as points of percentage, is a number of its own unit: `scaled` tells which.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.errors import CadranError
from cadran.formats import strict_yaml
from cadran.formats.numbers import CURRENCIES, SHORT, SYMBOLS, THIN, WIDE

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from cadran.reports.pack import Figure

_FILE = Path(__file__).with_name("office.yml")
_FIRST = (1980, 1, 1, 0, 0, 0)  # what a zip archive can say at the earliest
_STAMP = re.compile(rb"(<dcterms:(created|modified)[^>]*>)[^<]*(</dcterms:\2>)")
_LOCALE = {"en": "", "fr": "[$-40C]"}
# From where on a value has which letter: later than in texts, so that steps between large values
# keep digits.
_STEPS = ((1e10, ",,,", {"en": "bn", "fr": "Md"}), (1e7, ",,", {"en": "M", "fr": "M"}),
          (10_000, ",", {"en": "k", "fr": "k"}))  # fmt: skip
_POINTS = re.compile(r"\N{NO-BREAK SPACE}(pp|pt)$")
_DIGITS = re.compile(r"\d[\d\s.,]*")
_MOST_DECIMALS = 3


@cache
def words(lang: str) -> dict[str, str]:
    """The words of slides and sheets by key."""
    every: dict[str, dict[str, str]] = strict_yaml.read(_FILE, CadranError)
    return {key: entry[lang] for key, entry in every.items()}


def native(value: Any) -> float | None:
    """A value as a cell or a chart holds it; None where there is no number."""
    is_number = isinstance(value, (int, float, Decimal, Fraction)) and not isinstance(value, bool)
    if not is_number:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def axis_format(
    values: Iterable[Any], unit: str, lang: str, *, signed: bool = False, least_decimals: int = 0
) -> str:
    """The code for the values of a chart, large money and counts shortened: 453 k€, €1.2M.

    Args:
        values: all of them, which decide together.
        unit: of them.
        lang: en or fr.
        signed: whether a rise has its sign.
        least_decimals: of a rate.
    """
    known = [number for value in values if (number := native(value)) is not None]
    top = max((abs(number) for number in known), default=0.0)
    if unit == "%":
        span = (max(known) - min(known)) if known else 0.0
        fine = next((n for n, step in enumerate((0.15, 0.015, 0.0015)) if span >= step), 3)
        return coded(unit, max(fine, least_decimals), lang, signed=signed)
    for least, commas, names in _STEPS:
        if top >= least:
            size = 1000 ** len(commas)
            decimals = 0 if top >= 100 * size else 1
            return coded(unit, decimals, lang, signed=signed, scale=(commas, names[lang]))
    whole = all(number == round(number) for number in known)
    return coded(unit, 0 if whole or top >= 100 else 1, lang, signed=signed)  # noqa: PLR2004 - three digits tell enough


def coded(
    unit: str, decimals: int, lang: str, *, signed: bool = False, scale: tuple[str, str] = ("", "")
) -> str:
    """The format code of a unit.

    Args:
        unit: as of `numbers.measure`; a `%` is stored as a fraction.
        decimals: digits behind the point.
        lang: en or fr.
        signed: whether a rise has its sign.
        scale: the commas that divide by a thousand each, and the letter that says so.
    """
    symbol = SYMBOLS.get(unit, unit)
    commas, letter = scale
    number = "#,##0" + ("." + "0" * decimals if decimals else "") + commas
    before = after = ""
    if symbol == "%":
        after = f'"{THIN}"%' if lang == "fr" else "%"
    elif symbol in CURRENCIES:
        if lang == "fr":
            after = f'"{WIDE}{letter}{symbol}"'
        else:
            before, after = f'"{symbol}"', f'"{letter}"' if letter else ""
    elif letter:
        after = f'"{WIDE if lang == "fr" else ""}{letter}"'
    elif symbol in SHORT | {"pp", "pt"}:
        after = f'"{WIDE}{symbol}"'
    one = f"{before}{number}{after}"
    locale = _LOCALE[lang]
    if signed:
        minus = "\N{MINUS SIGN}"
        return f'{locale}"+"{one};{locale}"{minus}"{one};{locale}{one}'
    return f"{locale}{one}"


def scaled(figure: Figure) -> tuple[float | None, str]:
    """A figure's number in the unit that its text has, and that unit.

    A difference of two rates is in points; a relative change of an amount keeps the amount.
    """
    number = native(figure.value)
    points = _POINTS.search(figure.text)
    if number is not None and points:
        return number * 100, points[1]
    return number, figure.unit


def figure_format(figure: Figure, lang: str) -> str:
    """The code for a figure in full, with the decimals that its text has."""
    number, unit = scaled(figure)
    digits = _DIGITS.search(figure.text)
    mark = "," if lang == "fr" else "."
    shown = digits[0].strip().partition(mark)[2] if digits else ""
    decimals = min(len(shown), _MOST_DECIMALS)
    is_rate = unit in {"%", "pp", "pt"}
    if not is_rate and (re.search(r"[kM]|bn|Md", figure.text) or figure.text.endswith("%")):
        decimals = 0  # the text is shortened or relative; the cell has the amount
    if decimals == 0 and not is_rate and number is not None and abs(number) < 1 and number:
        decimals = 2
    return coded(unit, decimals, lang, signed=unit in {"pp", "pt"})


def settled(content: bytes, day: dt.date) -> bytes:
    """The same file as if it had been written on a day, whatever the clock says.

    Args:
        content: a PPTX or XLSX file.
        day: that the core properties say.
    """
    stamp = f"{day.isoformat()}T00:00:00Z".encode()
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(out, "w") as written:
        for name in archive.namelist():
            part = archive.read(name)
            if name == "docProps/core.xml":
                part = _STAMP.sub(rb"\g<1>" + stamp + rb"\g<3>", part)
            elif name.endswith(".xlsx"):
                part = settled(part, day)
            entry = zipfile.ZipInfo(name, _FIRST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            written.writestr(entry, part)
    return out.getvalue()
