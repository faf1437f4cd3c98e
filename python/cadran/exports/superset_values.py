"""KPIs that cannot be put together from groups, ready made: one table of values.

A row is a grain, a period, a dimension ('all' for none) and a member of it; a column holds the
values of a KPI as text, which no tool adds up by itself. The metric over it is empty as soon as a
group holds two rows. No period stands alone in a longer one: where only one has values, an empty
neighbour stands beside it, so that a week is never shown as its month.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from cadran import periods
from cadran.governed import TIME

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from cadran.cards import Card
    from cadran.layer import Layer

TABLE = "kpi_values"
ALL = "all"
# The columns before the values, and their roles.
KEYS = {"period": "time", "grain": "dimension", "dimension": "dimension", "member": "dimension"}

Key = tuple[dt.date, str, str, str | None]


def expression(kpi: str) -> str:
    """The metric of a KPI over its column: the value of the one row there is, or nothing."""
    return f"CASE WHEN COUNT(*) = 1 THEN CAST(MAX({kpi}) AS DOUBLE) END"


def rows(layer: Layer, cards: Iterable[Card]) -> pa.Table:
    """The values of KPIs at every grain of their cards, in all and by each dimension.

    Raises:
        CadranError: as `Layer.query`.
    """
    import pyarrow as pa

    cards = list(cards)
    found: dict[Key, dict[str, str]] = {}
    for card in cards:
        for grain in (grain for grain in card.grains if grain in periods.GRAINS):
            for dimension in (None, *card.dimensions):
                groups = [f"{TIME}__{grain}", *([dimension] if dimension else [])]
                answer = layer.query(card.name, groups, ordered=False).to_arrow()
                _keep(found, answer.to_pylist(), card.name, grain, dimension)
    _beside(found)
    ordered = sorted(found, key=lambda key: (*key[1:3], key[0], key[3] or ""))
    columns: dict[str, Any] = {
        name: [key[place] for key in ordered] for place, name in enumerate(KEYS)
    }
    columns |= {card.name: [found[key].get(card.name) for key in ordered] for card in cards}
    text = pa.string()
    types = [pa.date32(), text, text, text, *(text for _ in cards)]
    return pa.table(columns, pa.schema(list(zip(columns, types, strict=True))))


def _keep(
    found: dict[Key, dict[str, str]],
    answer: list[dict[str, Any]],
    kpi: str,
    grain: str,
    dimension: str | None,
) -> None:
    for row in answer:
        period, value = row[f"{TIME}__{grain}"], row[kpi]
        if period is None or value is None:
            continue
        member = row[dimension] if dimension else ALL
        key = (
            period.date() if isinstance(period, dt.datetime) else period,
            grain,
            dimension or ALL,
            None if member is None else str(member),
        )
        found.setdefault(key, {})[kpi] = str(value)


def _beside(found: dict[Key, dict[str, str]]) -> None:
    """Put an empty row beside each that stands alone in a longer period."""
    starts: dict[tuple[str, str, str | None], set[dt.date]] = {}
    for period, *series in found:
        starts.setdefault(tuple(series), set()).add(period)  # type: ignore[arg-type]
    for (grain, dimension, member), there in starts.items():
        for longer in (other for other in periods.GRAINS if periods.is_coarser(other, grain)):
            within: dict[dt.date, list[dt.date]] = {}
            for period in there:
                within.setdefault(periods.start_of(period, longer), []).append(period)
            for whole, alone in within.items():
                if len(alone) == 1:
                    other = _neighbour(alone[0], grain, longer, whole)
                    found.setdefault((other, grain, dimension, member), {})


def _neighbour(period: dt.date, grain: str, longer: str, whole: dt.date) -> dt.date:
    """The next period of the grain that starts within the same longer one, or the one before."""
    after = periods.shifted(period, grain, 1)
    inside = periods.start_of(after, longer) == whole
    return after if inside else periods.shifted(period, grain, -1)
