"""What a chart draws, in one form, from whatever it is given."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa


def plain(data: pa.Table | Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of an Arrow table, of a result or of dictionaries, as JSON types.

    Decimals become floats, which is fine for a height on paper; printed figures are not made here.
    """
    if hasattr(data, "to_arrow"):
        data = data.to_arrow()
    rows = data.to_pylist() if hasattr(data, "to_pylist") else data
    return [{name: _json(value) for name, value in row.items()} for row in rows]


def time_column(rows: list[dict[str, Any]]) -> tuple[str, str]:
    """The column of periods and its grain.

    Raises:
        QueryError: no column is a period.
    """
    for name in rows[0] if rows else ():
        if name.startswith("metric_time__"):
            return name, name.removeprefix("metric_time__")
    raise QueryError("A line needs rows by period: group by metric_time__month, for instance.")


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, dt.date):
        # A bare date would be read as midnight UTC, and fall into the month before west of it.
        return f"{value.isoformat()}T00:00:00"
    return value
