"""Rows of PostgreSQL as Arrow, in the types that DuckDB would have given them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from cadran.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from decimal import Decimal

    import psycopg
    import pyarrow as pa

_DIGITS = 38  # of a decimal of 128 bits
_DIVIDED = 9  # decimals from which on a number without a declared scale was divided
_DIVISION = re.compile(r"/|\b(avg|stddev\w*|var_\w+|variance|percentile_cont)\s*\(", re.IGNORECASE)
_WHOLE = {"int2", "int4", "int8", "oid"}
_NAMES = {
    "int2": "SMALLINT", "int4": "INTEGER", "int8": "BIGINT", "float4": "FLOAT", "float8": "DOUBLE",
    "bool": "BOOLEAN", "date": "DATE", "timestamp": "TIMESTAMP", "time": "TIME", "uuid": "UUID",
    "timestamptz": "TIMESTAMP WITH TIME ZONE", "interval": "INTERVAL", "bytea": "BLOB",
    "json": "JSON", "jsonb": "JSON",
}  # fmt: skip


def is_dividing(sql: str) -> bool:
    """Whether a statement may give numbers of any scale."""
    return bool(_DIVISION.search(sql))


def _kind(column: psycopg.Column) -> str:
    """PostgreSQL's name of a column's type."""
    from psycopg import postgres

    known = postgres.types.get(column.type_code)
    if known is None:
        return "text"
    return f"{known.name}[]" if known.array_oid == column.type_code else known.name


def name_of(column: psycopg.Column) -> str:
    """DuckDB's name of a column's type."""
    kind = _kind(column)
    if kind == "numeric":
        if column.precision is None:
            return "DECIMAL"
        return f"DECIMAL({column.precision},{column.scale})"
    return _NAMES.get(kind, "VARCHAR")


def table(
    columns: Sequence[psycopg.Column],
    rows: Sequence[Sequence[Any]],
    dates: Collection[str],
    *,
    is_divided: bool,
) -> pa.Table:
    """The rows as Arrow.

    Args:
        columns: what the server says of them.
        rows: their values as the driver reads them.
        dates: the columns that hold dates.
        is_divided: whether the statement divides, so that a number may have any scale.
    """
    import pyarrow as pa

    values = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    arrays = []
    for column, cells in zip(columns, values, strict=True):
        kind = _kind(column)
        if kind == "numeric":
            arrays.append(_numbers(column, cells, is_divided=is_divided))
        elif kind in {"timestamp", "timestamptz"} and column.name in dates:
            days = [None if cell is None else cell.date() for cell in cells]
            arrays.append(pa.array(days, pa.date32()))
        else:
            arrays.append(_array(kind, cells))
    return pa.table(arrays, names=[column.name for column in columns])


def _array(kind: str, cells: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    if kind.endswith("[]"):
        of = _arrow_type(kind[:-2])
        return pa.array([None if c is None else _plain_list(c, kind[:-2]) for c in cells],
                        pa.list_(of))  # fmt: skip
    kind_type = _arrow_type(kind)
    if kind_type == pa.string():
        cells = [None if cell is None else _text(cell) for cell in cells]
    return pa.array(cells, kind_type)


def _arrow_type(kind: str) -> pa.DataType:
    import pyarrow as pa

    if kind in _WHOLE:
        return pa.int64()
    return {
        "float4": pa.float32(), "float8": pa.float64(), "bool": pa.bool_(), "date": pa.date32(),
        "timestamp": pa.timestamp("us"), "timestamptz": pa.timestamp("us", "UTC"),
        "time": pa.time64("us"), "interval": pa.duration("us"), "bytea": pa.binary(),
    }.get(kind, pa.string())  # fmt: skip


def _plain_list(cells: Sequence[Any], kind: str) -> list[Any]:
    texts = _arrow_type(kind) == _arrow_type("text")
    return [None if c is None else _text(c) if texts else c for c in cells]


def _text(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    return json.dumps(cell) if isinstance(cell, (dict, list)) else str(cell)


def _numbers(
    column: psycopg.Column, cells: Sequence[Decimal | None], *, is_divided: bool
) -> pa.Array:
    """Numbers of type `numeric` as Arrow.

    A declared scale is kept. Otherwise whole ones are int64 where they fit, and the others have the
    scale of the finest of them, as the sum of a declared one has its; what was divided is a double.
    """
    import pyarrow as pa

    present = [cell for cell in cells if cell is not None]
    if not all(cell.is_finite() for cell in present):
        raise WarehouseError(
            f"{column.name} has NaN or Infinity, which no decimal number can hold: cast it to"
            " double precision."
        )
    if column.precision is not None and column.precision <= _DIGITS:
        kind = pa.decimal128(column.precision, column.scale or 0)
        return pa.array(cells, kind)
    scale = max((-int(cell.as_tuple().exponent) for cell in present), default=0)
    scale = max(scale, 0)
    if scale == 0:
        try:
            return pa.array([None if c is None else int(c) for c in cells], pa.int64())
        except (pa.ArrowInvalid, OverflowError):
            pass
    if (scale > _DIVIDED and is_divided) or scale > _DIGITS:
        return pa.array([None if c is None else float(c) for c in cells], pa.float64())
    try:
        return pa.array(cells, pa.decimal128(_DIGITS, scale))
    except pa.ArrowInvalid:
        raise WarehouseError(
            f"{column.name} has numbers of more than {_DIGITS} digits, more than an answer holds:"
            " cast it to double precision."
        ) from None
