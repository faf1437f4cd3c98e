"""Steps that merely copy a table: `select * from x` is x, whatever its columns are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp


def see_through_copies(tree: exp.Expr) -> None:
    """Take `select * from x` for x, where the columns of x are not known and cannot be listed."""
    from sqlglot import exp

    with_ = tree.args.get("with_")
    if with_ is None or with_.args.get("recursive"):
        return
    copies = {
        cte.alias: table for cte in with_.expressions if (table := _only_table(cte)) is not None
    }
    if not copies:
        return
    for table in list(tree.find_all(exp.Table)):
        seen = table
        while not seen.db and seen.name in copies:
            seen = copies[seen.name]
        if seen is not table:
            through = seen.copy()
            through.set("alias", exp.TableAlias(this=exp.to_identifier(table.alias_or_name)))
            for key in ("joins", "laterals", "sample", "pivots"):
                if table.args.get(key):
                    return
            table.replace(through)


def _only_table(cte: exp.CTE) -> exp.Table | None:
    from sqlglot import exp

    select = cte.this
    if not isinstance(select, exp.Select) or cte.alias_column_names:
        return None
    given = {key for key, value in select.args.items() if value}
    if given - {"expressions", "from_", "kind"} or select.args.get("kind"):
        return None
    if len(select.expressions) != 1:
        return None
    star = select.expressions[0]
    is_star = isinstance(star, exp.Star) or (
        isinstance(star, exp.Column) and isinstance(star.this, exp.Star)
    )
    inner = star.this if isinstance(star, exp.Column) else star
    if not is_star or any(inner.args.get(key) for key in ("except_", "replace", "rename")):
        return None
    table = select.args["from_"].this
    if not isinstance(table, exp.Table) or any(
        table.args.get(key) for key in ("joins", "laterals", "sample", "pivots")
    ):
        return None
    return table
