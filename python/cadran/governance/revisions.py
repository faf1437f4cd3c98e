"""What was said of one period, each time that something else was said."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError
from cadran.governance.close import period as read_period
from cadran.governance.verify import is_there
from cadran.warehouse import duckdb_ledger as sql

if TYPE_CHECKING:
    import datetime as dt

    from cadran.layer import Layer


def revisions(layer: Layer, kpi: str, period: str) -> list[dict[str, Any]]:
    """Every value that was published of one period, the first first, with the change and why.

    Raises:
        QueryError: nothing was published of it.
    """
    layer.card(kpi)
    grain, start, _ = read_period(period)
    shown: list[dict[str, Any]] = []
    before: Decimal | None = None
    version: int | None = None
    for row in published_rows(layer, kpi, grain, start):
        if row["dimensions"] != "{}":
            continue
        value = Decimal(row["value"]) if row["value"] is not None else None
        change = value - before if value is not None and before is not None else None
        # A record tells why its version was made, not why data changed afterwards.
        is_told = row["kind"] == "restatement" or row["version"] != version
        version = row["version"]
        shown.append(
            {
                "published_at": row["published_at"], "value": value, "change": change,
                "status": row["status"], "version": row["version"],
                "observations": row["observations"], "data_as_of": row["data_as_of"],
                "reason": row["reason"] if is_told else None, "author": row["author"],
                "batch": row["batch"],
            }
        )  # fmt: skip
        before = value if value is not None else before
    if not shown:
        raise QueryError(f"No value of {kpi} for {period} was published.")
    return shown


def published_rows(layer: Layer, kpi: str, grain: str, start: dt.date) -> list[dict[str, Any]]:
    """The rows of one period, whole and by member, in the order in which they were published.

    Raises:
        QueryError: nothing was published at all.
    """
    if not is_there(layer):
        raise QueryError("Nothing was published yet: run `cadran publish`.")
    rows: list[dict[str, Any]] = layer.warehouse.arrow(
        f"""
        select *, details->>'reason' as reason, nullif(dimension_set, '') as name,
            json_extract_string(dimensions, '$.*')[1] as member
        from {sql.VIEW}
        where kpi = {sql.literal(kpi)} and grain = '{grain}' and period = timestamp '{start}'
        order by batch, row
        """
    ).to_pylist()
    return rows
