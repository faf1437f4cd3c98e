"""A KPI answers at the grains and by the dimensions of its card, in Power BI too.

Without it a visual by an unrelated table repeats the total on every line, as if it were a number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cadran.exports.powerbi.dates import COLUMNS, TABLE
from cadran.exports.powerbi.model import reference
from cadran.exports.powerbi.values import BLANK

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from cadran.exports.powerbi.model import Table


def guarded(
    dax: str,
    tables: Iterable[Table],
    allowed: Collection[tuple[str, str]],
    grains: Collection[str],
) -> str:
    """The measure that is blank by any column that is not on the card.

    Args:
        dax: what it gives otherwise.
        tables: all tables of the model.
        allowed: tables and columns of the card's dimensions.
        grains: the card's grains.
    """
    refused = []
    for table in tables:
        shown = [c.name for c in table.columns if not c.is_hidden]
        if table.is_date or not shown:
            continue
        outside = [name for name in shown if (table.name, name) not in allowed]
        if outside == shown:
            refused.append(f"ISFILTERED({reference(table.name, '').removesuffix('[]')})")
        else:
            refused += [f"ISFILTERED({reference(table.name, name)})" for name in outside]
    order = list(COLUMNS)
    for grain in order:
        if grain not in grains:
            finer = order[: order.index(grain)]
            scope = [f"ISINSCOPE({reference(TABLE, COLUMNS[grain])})"]
            scope += [f"NOT(ISINSCOPE({reference(TABLE, COLUMNS[one])}))" for one in finer]
            refused.append(" && ".join(scope))
    if not refused:
        return dax
    conditions = "\n\t\t|| ".join(f"({one})" if "&&" in one else one for one in refused)
    body = dax.replace("\n", "\n\t")
    return f"IF(\n\t{conditions},\n\t{BLANK},\n\t{body}\n)"
