"""Whether two KPIs are computed alike: their SQL brought to one form, names and layout apart."""

from __future__ import annotations

import hashlib
import logging
from importlib.metadata import version
from typing import TYPE_CHECKING

from cadran.errors import CadranError
from cadran.plans import key_of
from cadran.query import GRAINS

if TYPE_CHECKING:
    from cadran.governance.context import Context


def meaning_of(context: Context, kpi: str) -> str | None:
    """A hash of the KPI's canonical SQL at its coarsest grain; None when it cannot be asked."""
    card = context.cards[kpi]
    grain = max(card.grains, key=GRAINS.index)
    try:
        sql = context.layer.sql([kpi], f"metric_time__{grain}", ordered=False)
    except CadranError:
        return None
    key = key_of("same", sql, kpi, version("sqlglot"))
    found: str | None = context.cache.get(key)
    if found is None:
        found = hashlib.sha256(canonical(sql, kpi).encode()).hexdigest()
        context.cache.put(key, found)
    return found


def canonical(sql: str, kpi: str) -> str:
    """The SQL in one form: qualified, subqueries merged, the KPI's own name taken off."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer import optimize

    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        tree = optimize(sqlglot.parse_one(sql, dialect="duckdb"), dialect="duckdb")
    except SqlglotError:
        return sql.replace(kpi, "_kpi")
    aliases: dict[str, str] = {}
    for node in tree.find_all(exp.Identifier):
        name = str(node.this)
        # Names that MetricFlow numbers, and the KPI's own, are not part of the meaning.
        if name == kpi:
            node.set("this", "_kpi")
        elif name.startswith(("subq_", "nr_subq_")) or name.endswith(("_src_10000", "_cte")):
            node.set("this", aliases.setdefault(name, f"_{len(aliases)}"))
    return str(tree.sql(dialect="duckdb", comments=False))
