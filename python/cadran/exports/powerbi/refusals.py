"""What the model leaves out for reasons of its own: grains and rows beyond its dates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cadran.exports.powerbi import dates
from cadran.exports.powerbi.model import LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from cadran.cards import Card
    from cadran.exports.powerbi.star import Star
    from cadran.layer import Layer


def finer_grains(cards: Iterable[Card]) -> list[LeftOut]:
    """KPIs whose cards have grains finer than the days of the date table."""
    found: dict[tuple[str, ...], list[str]] = {}
    for card in cards:
        finer = tuple(grain for grain in card.grains if grain not in dates.COLUMNS)
        if finer:
            found.setdefault(finer, []).append(card.name)
    return [
        LeftOut(
            f"{', '.join(kpis)} by {' and '.join(finer)}",
            "the model's dates are days",
            "`cadran query`",
        )
        for finer, kpis in found.items()
    ]


def undated(layer: Layer, star: Star, days: pa.Table) -> list[LeftOut]:
    """Rows whose day is not in the date table: Power BI shows them under a blank date."""
    first, last = days.column("date")[0].as_py(), days.column("date")[-1].as_py()
    found = []
    for one in star.relationships:
        if one.to_table != dates.TABLE:
            continue
        table = next(table for table in star.tables if table.name == one.table)
        day = table.column(one.column).sql
        asked = (
            f"select count(*) as beyond from {table.relation}"
            f" where {day} < date '{first}' or {day} > date '{last}'"
        )
        beyond = layer.warehouse.arrow(asked).to_pylist()[0]["beyond"]
        if beyond:
            what = f"{beyond:,} rows of {table.file} by {one.column}"
            reason = f"they lie outside the years of the time spine, {first} to {last}"
            found.append(LeftOut(what, reason, "a longer time spine"))
    return found
