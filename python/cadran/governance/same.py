"""Whether two KPIs are computed alike: their SQL in one form, names and layout apart."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from cadran.errors import CadranError
from cadran.governance.canonical import NotCanonical, canonical
from cadran.governance.checksums import checksum
from cadran.plans import key_of
from cadran.query import GRAINS

if TYPE_CHECKING:
    from cadran.governance.context import Context


def meaning_of(context: Context, kpi: str) -> str | None:
    """A hash of the KPI's canonical SQL at its coarsest grain; None when it cannot be asked."""
    grain = max(context.cards[kpi].grains, key=GRAINS.index)
    try:
        sql = context.layer.sql([kpi], f"metric_time__{grain}", ordered=False)
    except CadranError:
        return None
    key = key_of("same", sql, version("sqlglot"))
    found: str | None = context.cache.get(key)
    if found is None:
        try:
            found = checksum(canonical(sql, "duckdb"))
        except NotCanonical:
            found = checksum(sql.replace(kpi, "_kpi"))
        context.cache.put(key, found)
    return found
