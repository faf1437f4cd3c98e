"""Pages of an answer: Arrow streams in base64, or JSON as pandas writes it."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cadran.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 8_192  # of a page


def count(table: pa.Table) -> int:
    """How many pages a table has; an empty one has one."""
    return max(1, -(-int(table.num_rows) // ROWS))


def page(table: pa.Table, number: int) -> pa.Table:
    """One page of a table, counted from 1.

    Raises:
        QueryError: there is no such page.
    """
    if not 1 <= number <= count(table):
        raise QueryError(f"There is no page {number}: the answer has pages 1 to {count(table)}.")
    return table.slice((number - 1) * ROWS, ROWS)


def arrow(table: pa.Table) -> str:
    """A table as a stream of Arrow IPC, in base64."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue()).decode()


def as_json(table: pa.Table, orient: str, *, encoded: bool) -> str:
    """A table as JSON in one of pandas' orientations; in base64 where it is to be encoded."""
    columns = table.column_names
    rows = [[_plain(value) for value in row.values()] for row in table.to_pylist()]
    text = json.dumps(_ORIENTS[orient](table, columns, rows), separators=(",", ":"))
    return base64.b64encode(text.encode()).decode() if encoded else text


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no word for it
    return value


def _kind(type_: pa.DataType) -> str:
    kinds: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_integer, "integer"),
        (pa.types.is_floating, "number"),
        (pa.types.is_decimal, "number"),
        (pa.types.is_temporal, "datetime"),
    )
    return next((kind for fits, kind in kinds if fits(type_)), "string")


def _table(table: pa.Table, columns: list[str], rows: list[list[Any]]) -> Any:
    fields = [{"name": "index", "type": "integer"}]
    fields += [{"name": one.name, "type": _kind(one.type)} for one in table.schema]
    return {
        "schema": {"fields": fields, "primaryKey": ["index"], "pandas_version": "1.4.0"},
        "data": [
            {"index": number, **dict(zip(columns, row, strict=True))}
            for number, row in enumerate(rows)
        ],
    }


_ORIENTS: dict[str, Callable[[pa.Table, list[str], list[list[Any]]], Any]] = {
    "table": _table,
    "records": lambda _, columns, rows: [dict(zip(columns, row, strict=True)) for row in rows],
    "values": lambda _, __, rows: rows,
    "split": lambda _, columns, rows: {
        "columns": columns, "index": list(range(len(rows))), "data": rows,
    },
    "index": lambda _, columns, rows: {
        str(number): dict(zip(columns, row, strict=True)) for number, row in enumerate(rows)
    },
    "columns": lambda _, columns, rows: {
        name: {str(number): row[place] for number, row in enumerate(rows)}
        for place, name in enumerate(columns)
    },
}  # fmt: skip
