"""Rows as text and bytes, the same wherever they go: JSON, CSV, an Arrow stream, Parquet.

A decimal keeps every digit in all of them: it never passes through binary floating point.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

_ENCODE = json.JSONEncoder(ensure_ascii=False, default=str).encode
_BATCH = 20_000  # rows that are Python objects at the same time


def json_text(value: Any) -> str:
    """The JSON text of a value: decimals in full, times in ISO form, NaN as null."""
    if isinstance(value, Decimal):
        return f"{value:f}" if value.is_finite() else "null"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "null"
    if isinstance(value, (dt.date, dt.time)):
        return json.dumps(value.isoformat())
    if isinstance(value, dict):
        pairs = (f"{json.dumps(str(key))}: {json_text(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(json_text, value)) + "]"
    return _ENCODE(value)


def plain(value: Any) -> Any:
    """The value as JSON types whose numbers are binary: exact, or else the digits as a text."""
    if isinstance(value, Decimal):
        binary = float(value)
        return binary if Decimal(repr(binary)) == value else f"{value:f}"
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)


def json_rows(table: pa.Table) -> str:
    """The rows as a JSON array of objects, each with the columns in their order."""
    names = [json.dumps(name, ensure_ascii=False) for name in table.column_names]
    template = "{" + ", ".join(f"{name.replace('%', '%%')}: %s" for name in names) + "}"
    encoders = [_encoder(field.type) for field in table.schema]
    lines: list[str] = []
    for batch in table.to_batches(max_chunksize=_BATCH):
        columns = [
            [encode(value) if value is not None else "null" for value in column.to_pylist()]
            for column, encode in zip(batch.columns, encoders, strict=True)
        ]
        lines += [template % row for row in zip(*columns, strict=True)]
    return "[" + ",\n".join(lines) + "]"


def csv_cell(value: Any) -> Any:
    """What stands in a cell of text for a value; lists become words."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return " ".join(str(csv_cell(item)) for item in value)
    if isinstance(value, dict):
        return json_text(value)
    return value


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # how texts begin that spreadsheets compute


def csv_bytes(table: pa.Table, *, is_safe: bool = False) -> bytes:
    """The rows as CSV in UTF-8 with a line of names; NULL is an empty cell.

    Args:
        table: the rows.
        is_safe: put an apostrophe before texts that a spreadsheet would take for formulas.
    """

    def cell(value: Any) -> Any:
        written = csv_cell(value)
        is_text = isinstance(value, (str, list, tuple)) and isinstance(written, str)
        return f"'{written}" if is_safe and is_text and written.startswith(_FORMULA) else written

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([cell(name) for name in table.column_names])
    writer.writerows([cell(value) for value in row.values()] for row in row_dicts(table))
    return text.getvalue().encode()


def csv_for_excel_fr(table: pa.Table) -> bytes:
    """The rows as CSV that Excel opens by itself where it speaks French; NULL is an empty cell.

    Semicolons, decimal commas, dates as 31/01/2026, VRAI and FAUX, and a mark of UTF-8 before it
    all; no text is a formula.
    """

    def cell(value: Any) -> Any:
        if isinstance(value, bool):
            return "VRAI" if value else "FAUX"
        if isinstance(value, (float, Decimal)):
            return str(csv_cell(value)).replace(".", ",")
        if isinstance(value, dt.datetime):
            return f"{value:%d/%m/%Y %H:%M:%S}"
        if isinstance(value, dt.date):
            return f"{value:%d/%m/%Y}"
        written = csv_cell(value)
        is_formula = isinstance(written, str) and written.startswith(_FORMULA)
        return f"'{written}" if is_formula else written

    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow([cell(name) for name in table.column_names])
    writer.writerows([cell(value) for value in row.values()] for row in row_dicts(table))
    return text.getvalue().encode("utf-8-sig")


def arrow_bytes(table: pa.Table) -> bytes:
    """The rows as an Arrow IPC stream."""
    from pyarrow import ipc

    buffer = io.BytesIO()
    with ipc.new_stream(buffer, table.schema) as stream:
        stream.write_table(table)
    return buffer.getvalue()


def parquet_bytes(table: pa.Table) -> bytes:
    """The rows as a Parquet file."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def row_dicts(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows one by one, without all of them being Python objects at once."""
    for batch in table.to_batches(max_chunksize=_BATCH):
        yield from batch.to_pylist()


def _encoder(kind: pa.DataType) -> Callable[[Any], str]:
    import pyarrow as pa

    if pa.types.is_integer(kind):
        return str
    return json_text
