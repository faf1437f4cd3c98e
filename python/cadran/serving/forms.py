"""An answer as bytes: JSON, CSV, an Arrow stream, Parquet or a workbook."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.encoding import arrow_bytes, csv_bytes, json_rows, json_text, parquet_bytes
from cadran.errors import LimitError
from cadran.serving.described import columns, described

if TYPE_CHECKING:
    import pyarrow as pa

    from cadran.serving.answer import Answer

MEDIA = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
WHOLE = ("arrow", "parquet")  # forms that hold any number of rows
SHEET_ROWS = 100_000  # a workbook takes half a minute beyond that
PAGE_ROWS = 10_000


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


def encoded(answer: Answer, form: str, part: Part, *, most: int, lang: str = "en") -> bytes:
    """The bytes of a form of an answer; `json` lacks its end, which `finished` adds.

    Args:
        answer: what was answered.
        form: a key of `MEDIA`.
        part: which of its rows.
        most: most rows of a form that is text or a workbook.
        lang: of the words in a workbook.

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
        return csv_bytes(table)
    if form == "xlsx":
        from cadran.serving.sheet import workbook

        return workbook(answer, table, lang)
    note = json_text(described(answer)).encode()
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"cadran": note})
    return arrow_bytes(table) if form == "arrow" else parquet_bytes(table)


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
    return None if follows is None else f"{answer.state}.{answer.etag[:16]}.{follows}"


def _json(answer: Answer, table: pa.Table, part: Part, most: int) -> bytes:
    meta = described(answer) | {"paging": paging(answer, part, most)}
    head = json.dumps(columns(answer), ensure_ascii=False)
    return (
        f'{{"columns": {head},\n"rows": {json_rows(table)},\n"meta": {json_text(meta)[:-1]}, '
    ).encode()
