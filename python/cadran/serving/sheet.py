"""An answer as a workbook: typed cells, and a second sheet that says what the numbers mean."""

from __future__ import annotations

import datetime as dt
import io
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cadran.encoding import row_dicts
from cadran.formats import SYMBOLS

if TYPE_CHECKING:
    import pyarrow as pa
    import xlsxwriter
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

    from cadran.cards import Card
    from cadran.serving.answer import Answer

_DAY, _INSTANT = "yyyy-mm-dd", "yyyy-mm-dd hh:mm"
_WIDTH = 18
_WORDS = {
    "en": {
        "rows": "Values", "about": "Definitions", "column": "Column", "label": "KPI",
        "definition": "Definition", "formula": "Formula", "unit": "Unit", "version": "Version",
        "status": "Status", "business": "Owner of the meaning",
        "technical": "Owner of the computation", "not_for": "Not for", "note": "Note",
        "state": "State of the data",
    },
    "fr": {
        "rows": "Valeurs", "about": "Définitions", "column": "Colonne", "label": "KPI",
        "definition": "Définition", "formula": "Formule", "unit": "Unité", "version": "Version",
        "status": "Statut", "business": "Responsable du sens",
        "technical": "Responsable du calcul", "not_for": "Ne convient pas", "note": "Note",
        "state": "État des données",
    },
}  # fmt: skip


def workbook(answer: Answer, table: pa.Table, lang: str = "en") -> bytes:
    """The workbook of these rows of an answer.

    Text is never read as a formula. A number that a cell cannot hold exactly, as Excel keeps
    numbers in binary, is written as its digits in text.
    """
    import xlsxwriter

    buffer = io.BytesIO()
    words = _WORDS[lang]
    with xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_formulas": False}) as book:
        _rows(book, book.add_worksheet(words["rows"]), answer, table, lang)
        _about(book, book.add_worksheet(words["about"]), answer, lang)
    return buffer.getvalue()


def _rows(
    book: xlsxwriter.Workbook, sheet: Worksheet, answer: Answer, table: pa.Table, lang: str
) -> None:
    bold = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
    day, instant = (book.add_format({"num_format": form}) for form in (_DAY, _INSTANT))
    styles: list[Format | None] = []
    for at, name in enumerate(table.column_names):
        card = answer.cards.get(name) or answer.cards.get(name.removesuffix("_published"))
        sheet.write_string(0, at, _heading(name, card, lang), bold)
        styles.append(book.add_format({"num_format": _number(card)}) if card else None)
    for row, values in enumerate(row_dicts(table), start=1):
        for at, value in enumerate(values.values()):
            _cell(sheet, row, at, value, styles[at], day=day, instant=instant)
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, max(len(styles) - 1, 0), _WIDTH)
    if styles:
        sheet.autofilter(0, 0, table.num_rows, len(styles) - 1)


def _cell(  # noqa: PLR0913 - a cell is its place, its value and how it is shown
    sheet: Worksheet, row: int, at: int, value: Any, style: Format | None, *,
    day: Format, instant: Format,
) -> None:  # fmt: skip
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, at, value)
    elif isinstance(value, (int, float, Decimal)):
        if _fits(value):
            sheet.write_number(row, at, float(value), style)
        else:
            sheet.write_string(row, at, f"{value:f}" if isinstance(value, Decimal) else str(value))
    elif isinstance(value, dt.datetime):
        sheet.write_datetime(row, at, value.replace(tzinfo=None), instant)
    elif isinstance(value, dt.date):
        sheet.write_datetime(row, at, value, day)
    else:
        sheet.write_string(row, at, str(value))


def _fits(value: float | Decimal) -> bool:
    """Whether the number that stands in the file is this number; 16 digits stand there."""
    if isinstance(value, float):
        return math.isfinite(value)
    return Decimal(f"{float(value):.16G}") == value


def _heading(name: str, card: Card | None, lang: str) -> str:
    if card is None:
        return name
    label = card.localized(lang).label
    if name != card.name:
        label += " (publié)" if lang == "fr" else " (published)"
    return f"{label} ({card.unit})"


def _number(card: Card) -> str:
    digits = "0." + "0" * card.decimals if card.decimals else "0"
    if card.unit == "%":
        return f"{digits}%"
    symbol = SYMBOLS.get(card.unit)
    return f"#,##{digits}{f' [${symbol}]' if symbol in ('€', '$', '£') else ''}"


def _about(book: xlsxwriter.Workbook, sheet: Worksheet, answer: Answer, lang: str) -> None:
    words = _WORDS[lang]
    bold = book.add_format({"bold": True, "valign": "top"})
    wrapped = book.add_format({"text_wrap": True, "valign": "top"})
    line = 0
    for name, original in answer.cards.items():
        card = original.localized(lang)
        versions = ", ".join(map(str, answer.versions.get(name, (card.version,))))
        for key, text in (
            ("column", name), ("label", card.label), ("definition", card.description),
            ("formula", card.formula), ("unit", card.unit), ("version", versions),
            ("status", card.status), ("business", card.owner.business),
            ("technical", card.owner.technical), ("not_for", ", ".join(card.not_for)),
        ):  # fmt: skip
            sheet.write_string(line, 0, words[key], bold)
            sheet.write_string(line, 1, text, wrapped)
            line += 1
        line += 1
    notes = [answer.note, *map(str, answer.breaks)]
    for key, text in (*(("note", note) for note in notes if note), ("state", answer.state)):
        sheet.write_string(line, 0, words[key], bold)
        sheet.write_string(line, 1, text, wrapped)
        line += 1
    sheet.set_column(0, 0, _WIDTH)
    sheet.set_column(1, 1, 100)
