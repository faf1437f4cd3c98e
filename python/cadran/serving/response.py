"""An answer as it is kept and handed out: rows, versions, breaks, and its bytes in each form."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import math
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cadran.core import comparison
from cadran.core.result import COMPLETE, with_complete
from cadran.errors import LimitError, QueryError
from cadran.formats import words as texts
from cadran.formats.encoding import (
    arrow_bytes,
    csv_bytes,
    csv_for_excel_fr,
    json_rows,
    json_text,
    parquet_bytes,
    row_dicts,
)
from cadran.formats.numbers import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Hashable

    import pyarrow as pa
    import xlsxwriter
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

    from cadran.core.project.cards import Card
    from cadran.core.query.request import Query
    from cadran.core.result import Break


@dataclass(frozen=True)
class Answer:
    """One answer; the same object serves everybody who asks the same of the same state.

    Attributes:
        table: the rows, as the caller's role may see them.
        query: the question as it was answered, filters of the role included: not for the client.
        cards: the cards of its KPIs.
        versions: of the values of each KPI.
        breaks: where a KPI changed its meaning within it.
        like_for_like: whether every value can be compared with every other.
        governed: False where a metric in it is no KPI.
        state: the identifier of the data it was computed from.
        note: what has to be said beside the numbers; empty when nothing has.
        complete_through: the last day that is whole in the sources of each metric, as ISO text.
        key: what makes it the answer to this question, under this role, of this state.
        sql: what the warehouse ran for it.
        forms: encoded forms that were made of it, kept with it.
        kept_as: the key under which a cache keeps it: its state, and the question as allowed.
        watermark: the instant (UTC) up to which what landed is in it; None where nothing is live.
        cached: whether it was there already when it was asked.
    """

    table: pa.Table
    query: Query
    cards: dict[str, Card]
    versions: dict[str, tuple[int, ...]]
    breaks: tuple[Break, ...]
    like_for_like: bool
    governed: bool
    state: str
    note: str = ""
    complete_through: dict[str, str | None] = field(default_factory=dict)
    key: str = ""
    sql: str = ""
    forms: dict[str, bytes] = field(default_factory=dict)
    kept_as: tuple[str, Hashable] = ("", None)
    watermark: dt.datetime | None = None
    cached: bool = False

    @cached_property
    def etag(self) -> str:
        """A strong validator of its rows, without the form."""
        return etag(self.state, self.key)

    @property
    def size(self) -> int:
        """Bytes of its rows and of the forms made so far."""
        return int(self.table.nbytes) + sum(map(len, self.forms.values())) + 2_000


def etag(state: str, key: str) -> str:
    """The validator of the answer to a judged question in one state of the data."""
    return hashlib.sha256(f"{state} {key}".encode()).hexdigest()[:32]


_PUBLISHED = "_published"  # the column beside a KPI that holds what was said of it


def described(answer: Answer) -> dict[str, Any]:
    """Units, definitions, versions, breaks and warnings of an answer, as JSON types."""
    return {
        "units": {name: card.unit for name, card in answer.cards.items()},
        "definitions": {name: card.description for name, card in answer.cards.items()},
        "versions": {name: list(numbers) for name, numbers in answer.versions.items()},
        "breaks": [broken(version_break) for version_break in answer.breaks],
        "like_for_like": answer.like_for_like,
        "governed": answer.governed,
        "complete_through": answer.complete_through,
        "note": answer.note,
        "state": answer.state,
        **({"watermark": instant(answer.watermark)} if answer.watermark else {}),
    }


def instant(at: dt.datetime) -> str:
    """An instant of UTC as text."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def broken(version_break: Break) -> dict[str, Any]:
    """A break as JSON types: without values, which belong to the rows and their policy."""
    return {
        "kpi": version_break.kpi,
        "period": f"{version_break.period:%Y-%m-%d}",
        "before": version_break.before,
        "after": version_break.after,
        "kind": version_break.kind,
        "reason": version_break.reason,
        "in_series": version_break.in_series,
        "sentence": str(version_break),
    }


def columns(answer: Answer) -> list[dict[str, Any]]:
    """The columns with their types and, where they are KPIs, their labels and units."""
    entries = []
    for part in answer.table.schema:
        card, side = comparison.headings(part.name.removesuffix(_PUBLISHED), answer.cards)
        entry: dict[str, Any] = {"name": part.name, "type": _type(part.type)}
        if card is not None:
            unit = comparison.unit_of(side, card.unit)
            entry |= {"label": card.label, "unit": unit, "decimals": card.decimals}
            entry |= {"side": side} if side else {}
        entries.append(entry)
    return entries


def _type(kind: pa.DataType) -> str:
    import pyarrow as pa

    for name, test in (
        ("boolean", pa.types.is_boolean), ("integer", pa.types.is_integer),
        ("decimal", pa.types.is_decimal), ("float", pa.types.is_floating),
        ("date", pa.types.is_date), ("timestamp", pa.types.is_timestamp),
    ):  # fmt: skip
        if test(kind):
            return name
    return "text"


MEDIA = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "csv-excel-fr": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
WHOLE = ("arrow", "parquet")  # forms that hold any number of rows
SHEET_ROWS = 100_000  # a workbook takes half a minute beyond that
PAGE_ROWS = 10_000
_TAG_LENGTH = 16  # characters of an answer's validator in a cursor
_DIGITS = 12  # of the offset in a cursor


@dataclass(frozen=True, slots=True)
class Part:
    """Which rows of an answer are given.

    Attributes:
        offset: of the first row.
        size: most rows; None gives all that follow.
    """

    offset: int = 0
    size: int | None = None

    def of(self, table: pa.Table) -> pa.Table:
        """These rows."""
        if not self.offset and (self.size is None or self.size >= table.num_rows):
            return table
        return table.slice(self.offset, self.size)

    def follows(self, rows: int) -> int | None:
        """The offset of the rows that follow, if there are any."""
        end = self.offset + (self.size if self.size is not None else rows)
        return end if end < rows else None


def encoded(  # noqa: PLR0913 - what a form may be
    answer: Answer, form: str, part: Part, *, most: int, lang: str = "en", is_safe: bool = False
) -> bytes:
    """The bytes of a form of an answer; `json` lacks its end, which `finished` adds.

    Args:
        answer: what was answered.
        form: a key of `MEDIA`.
        part: which of its rows.
        most: most rows of a form that is text or a workbook.
        lang: of the words in a workbook.
        is_safe: let no text of CSV be a formula in a spreadsheet.

    Raises:
        LimitError: the form does not hold so many rows.
    """
    table = part.of(answer.table)
    limit = min(most, SHEET_ROWS) if form == "xlsx" else most
    if form not in WHOLE and table.num_rows > limit:
        raise LimitError(
            f"The answer has {table.num_rows:,} rows, and {form} gives at most {limit:,} at once:"
            f" ask for pages of at most {limit:,} with page_size, for the format"
            f" {' or '.join(WHOLE)}, or for less with limit, a filter, a time range or a coarser"
            " grain."
        )
    if form == "json":
        return _json(answer, table, part, most)
    if form == "csv":
        return csv_bytes(table, is_safe=is_safe)
    if form == "csv-excel-fr":
        return csv_for_excel_fr(with_complete(table, answer.query, _days(answer)))
    if form == "xlsx":
        return workbook(answer, table, lang)
    table = annotated(answer, table)
    return arrow_bytes(table) if form == "arrow" else parquet_bytes(table)


def _days(answer: Answer) -> dict[str, dt.date | None]:
    days = answer.complete_through
    return {name: dt.date.fromisoformat(day) if day else None for name, day in days.items()}


def annotated(answer: Answer, table: pa.Table) -> pa.Table:
    """Rows of an answer with all that is said beside them, as JSON under `cadran` in the schema."""
    note = json_text(described(answer)).encode()
    return table.replace_schema_metadata({**(table.schema.metadata or {}), b"cadran": note})


def finished(body: bytes, *, cached: bool) -> bytes:
    """A JSON body that says whether its rows were kept from before."""
    return body + (b'"cached": true}}\n' if cached else b'"cached": false}}\n')


def paging(answer: Answer, part: Part, most: int) -> dict[str, Any]:
    """Where a part lies in its answer, and the limits it was given under."""
    rows = answer.table.num_rows
    return {
        "page_size": part.size,
        "offset": part.offset,
        "rows": len(range(part.offset, rows)[: part.size]),
        "total_rows": rows,
        "next_cursor": cursor(answer, part),
        "most_rows_of_a_page": most,
    }


def cursor(answer: Answer, part: Part) -> str | None:
    """What names the part that follows, of this answer and in this state only."""
    follows = part.follows(answer.table.num_rows)
    return None if follows is None else f"{answer.state}.{answer.etag[:_TAG_LENGTH]}.{follows}"


def cursor_parts(text: str) -> tuple[str, str, int]:
    """State, tag and offset of a cursor.

    Raises:
        QueryError: it is none.
    """
    state, _, rest = text.partition(".")
    tag, _, offset = rest.partition(".")
    digits = offset if offset.isascii() and offset.isdigit() and len(offset) <= _DIGITS else ""
    if not (state and len(tag) == _TAG_LENGTH and digits):
        raise QueryError("The cursor is none of this server: take next_cursor as it was given.")
    return state, tag, int(digits)


def _json(answer: Answer, table: pa.Table, part: Part, most: int) -> bytes:
    meta = described(answer) | {"paging": paging(answer, part, most)}
    head = json.dumps(columns(answer), ensure_ascii=False)
    return (
        f'{{"columns": {head},\n"rows": {json_rows(table)},\n"meta": {json_text(meta)[:-1]}, '
    ).encode()


_DAY, _INSTANT = "yyyy-mm-dd", "yyyy-mm-dd hh:mm"
_WIDTH = 18  # letters of a column
_LINE = 16  # points of a line of headings


def workbook(answer: Answer, table: pa.Table, lang: str = "en") -> bytes:
    """The workbook of these rows of an answer.

    Text is never read as a formula. A number that a cell cannot hold exactly, as Excel keeps
    numbers in binary, is written as its digits in text.
    """
    import xlsxwriter

    buffer = io.BytesIO()
    words = texts.words("workbook", lang)
    table = with_complete(table, answer.query, _days(answer))
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
    headings: list[str] = []
    for at, name in enumerate(table.column_names):
        card, side = comparison.headings(name.removesuffix(_PUBLISHED), answer.cards)
        heading = _heading(name, card, side, lang)
        headings.append(f"{heading} ({name})" if heading in headings else heading)
        sheet.write_string(0, at, headings[-1], bold)
        styles.append(book.add_format({"num_format": _number(card, side)}) if card else None)
    for row, values in enumerate(row_dicts(table), start=1):
        for at, value in enumerate(values.values()):
            _cell(sheet, row, at, value, styles[at], day=day, instant=instant)
    sheet.set_row(0, _LINE * max((-(-len(heading) // _WIDTH) for heading in headings), default=1))
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, max(len(styles) - 1, 0), _WIDTH)
    if table.num_rows:  # a table has a row
        columns = [{"header": heading, "header_format": bold} for heading in headings]
        options = {"columns": columns, "name": "Cadran", "style": "Table Style Light 1"}
        sheet.add_table(0, 0, table.num_rows, len(headings) - 1, options)
    elif styles:
        sheet.autofilter(0, 0, 0, len(styles) - 1)


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
    """Whether what a sheet reads in the file is this number; 16 digits stand there.

    A sheet computes with binary numbers, so an amount is the number whose shortest name it is.
    """
    if isinstance(value, float):
        return math.isfinite(value)
    number = float(value)
    return float(f"{number:.16G}") == number and Decimal(repr(number)) == value


def _heading(name: str, card: Card | None, side: str | None, lang: str) -> str:
    words = texts.words("workbook", lang)
    if card is None:
        return words[COMPLETE] if name == COMPLETE else name
    label = card.localized(lang).label
    if side is not None:
        unit = comparison.unit_of(side, card.unit)
        return f"{label}, {words[side]}" + (f" ({words.get(unit, unit)})" if unit else "")
    if name != card.name:
        label += " (publié)" if lang == "fr" else " (published)"
    return f"{label} ({card.unit})"


def _number(card: Card, side: str | None = None) -> str:
    digits = "0." + "0" * card.decimals if card.decimals else "0"
    if side == comparison.PERCENT:
        return "0.0"
    if card.unit == "%" and side == comparison.CHANGE:  # points
        return digits if card.decimals else "0.0"
    if card.unit == "%":
        return f"{digits}%"
    symbol = SYMBOLS.get(card.unit)
    return f"#,##{digits}{f' [${symbol}]' if symbol in ('€', '$', '£') else ''}"


def _about(book: xlsxwriter.Workbook, sheet: Worksheet, answer: Answer, lang: str) -> None:
    words = texts.words("workbook", lang)
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
            ("until", answer.complete_through.get(name) or ""),
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
