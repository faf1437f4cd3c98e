"""Faster shapes for MetricFlow's SQL, each exactly equal to what it replaces.

**Days.** `date_trunc('day', x)` costs a calendar computation a row; `cast(x as date)` costs nothing
when x is a date already.

**Siblings.** Metrics of one fact whose definitions differ in kind are aggregated apart and joined
on what they are grouped by. Where two such aggregates read the same rows with the same groups, one
pass computes both.

**Cumulative metrics.** MetricFlow joins every row of a fact to every day from which it is visible, and sums afterwards:
rows times days. A sum of sums is the sum, and likewise for least and greatest values, so the fact
may be aggregated first by every column that the rest of the statement looks at. This holds for any
join, whatever stands on its other side; it does not hold for distinct counts, averages and
percentiles, and statements with those are left as they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp

# Comments that MetricFlow writes above a join of a fact to the spine by a range, and above a join
# of aggregates. Without them there is nothing to do, and sqlglot is not imported.
_MARK = "Join Self Over Time Range"
_COMBINED = "Combine Aggregated Outputs"
_DAY = re.compile(r"DATE_TRUNC\('day', ([\w.]+)\)", re.IGNORECASE)


def faster(sql: str, dialect: str) -> str:
    """The statement in its fastest shape that is exactly equal.

    Args:
        sql: a statement of MetricFlow.
        dialect: sqlglot's name of its dialect.
    """
    sql = merge_sibling_aggregates(aggregate_before_range_join(sql, dialect), dialect)
    return _DAY.sub(r"CAST(\1 AS DATE)", sql)


def merge_sibling_aggregates(sql: str, dialect: str) -> str:
    """The statement with aggregates of the same rows and groups computed in one pass."""
    if _COMBINED not in sql:
        return sql
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(sql, dialect=dialect)
    changed = False
    for select in list(tree.find_all(exp.Select)):
        first = select.args.get("from_") or select.args.get("from")
        if first is None or not isinstance(first.this, exp.Subquery):
            continue
        for join in list(select.args.get("joins") or ()):
            if join.side == "FULL" and _same_rows(first.this, join.this):
                _merge(select, first.this, join)
                changed = True
    return tree.sql(dialect=dialect, pretty=True) if changed else sql


def _same_rows(left: exp.Subquery, right: exp.Expression) -> bool:
    """Whether two subqueries group the same rows by the same columns, and only aggregate."""
    from sqlglot import exp

    if not isinstance(right, exp.Subquery) or not isinstance(right.this, exp.Select):
        return False
    frames = []
    for side in (left.this, right.this):
        if not isinstance(side, exp.Select) or not side.args.get("group"):
            return False
        if side.find(exp.Window, exp.Subquery, exp.Distinct, exp.Limit, exp.Having):
            return False
        frame = side.copy()
        frame.set("expressions", [])
        frames.append(frame.sql(comments=False))
    return frames[0] == frames[1]


def _merge(select: exp.Select, kept: exp.Subquery, join: exp.Join) -> None:
    """Move the columns of a joined aggregate into the one that is kept; drop the join."""
    from sqlglot import exp

    inner = kept.this
    there = {column.alias_or_name: column.unalias().sql() for column in inner.selects}
    names = {}
    for column in join.this.this.selects:
        name = column.alias_or_name
        if there.get(name) == column.unalias().sql():
            names[name] = name
            continue
        names[name] = name if name not in there else f"{name}_{join.this.alias}"
        there[names[name]] = column.unalias().sql()
        inner.select(exp.alias_(column.unalias().copy(), names[name]), copy=False)
    joined = join.this.alias
    join.pop()
    for column in select.find_all(exp.Column):
        if column.table == joined:
            column.replace(exp.column(names[column.name], table=kept.alias))


def aggregate_before_range_join(sql: str, dialect: str) -> str:
    """The statement with each fact in a range join aggregated first, where that is exact.

    Args:
        sql: a statement of MetricFlow.
        dialect: sqlglot's name of its dialect.
    """
    if _MARK not in sql:
        return sql
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(sql, dialect=dialect)
    changed = False
    for join in list(tree.find_all(exp.Join)):
        select = join.parent
        if isinstance(select, exp.Select) and _is_range_join(join):
            fact = join.this
            if isinstance(fact, exp.Table):
                changed |= _aggregate_table(select, fact)
            elif isinstance(fact, exp.Subquery):
                changed |= _aggregate_subquery(select, fact)
    return tree.sql(dialect=dialect, pretty=True) if changed else sql


def _is_range_join(join: exp.Join) -> bool:
    from sqlglot import exp

    condition = join.args.get("on")
    if condition is None or join.side or join.kind not in ("", "INNER"):
        return False
    return bool(condition.find(exp.LT, exp.LTE, exp.GT, exp.GTE)) and not condition.find(exp.EQ)


def _aggregate_table(select: exp.Select, fact: exp.Table) -> bool:
    """Aggregate a bare table whose own SELECT does the summing."""
    from sqlglot import exp

    alias = fact.alias_or_name
    if not select.args.get("group") or select.find(exp.Window, exp.Subquery):
        return False
    sums = [call for call in select.find_all(exp.AggFunc) if _is_of(call, alias)]
    if not _all_decompose(list(select.find_all(exp.AggFunc))) or not sums:
        return False
    inner = exp.select().from_(fact.copy())
    for number, call in enumerate(sums):
        name = f"part_{number}"
        inner = inner.select(exp.alias_(call.copy(), name))
        call.set("this", exp.column(name, table=alias))
    keys: dict[str, str] = {}
    for column in [c for c in select.find_all(exp.Column) if c.table == alias]:
        if isinstance(column.parent, exp.AggFunc) and column.name.startswith("part_"):
            continue
        # The truncated time is the key, not the instant: that is what makes the fact small.
        seen = column.parent if isinstance(column.parent, exp.TimestampTrunc | exp.DateTrunc) else column
        text = seen.sql()
        if text not in keys:
            keys[text] = f"key_{len(keys)}"
            inner = inner.select(exp.alias_(seen.copy(), keys[text])).group_by(seen.copy())
        seen.replace(exp.column(keys[text], table=alias))
    fact.replace(inner.subquery(alias))
    return True


def _aggregate_subquery(select: exp.Select, fact: exp.Subquery) -> bool:
    """Aggregate a subquery whose measures are summed by this SELECT or one around it."""
    from sqlglot import exp

    inner = fact.this
    if not isinstance(inner, exp.Select) or inner.find(exp.AggFunc, exp.Distinct, exp.Window):
        return False
    columns = [projection.alias_or_name for projection in inner.selects]
    measures = {
        name: how
        for name in columns
        if (how := _how_aggregated(select, fact.alias, name)) is not None
    }
    if not measures or not _all_decompose_around(select):
        return False
    keys = [name for name in columns if name not in measures]
    before = exp.select(*(exp.column(name) for name in keys)).from_(inner.subquery("fact_rows"))
    for name, how in measures.items():
        before = before.select(exp.alias_(how(this=exp.column(name)), name))
    for name in keys:
        before = before.group_by(exp.column(name))
    fact.set("this", before)
    return True


def _how_aggregated(select: exp.Select, source: str, name: str) -> type[exp.AggFunc] | None:
    """The one aggregate that consumes a column, here or further out; None if anything else does."""
    from sqlglot import exp

    names, current, qualifier = {name}, select, source
    while True:
        uses = [
            column
            for column in current.find_all(exp.Column)
            if column.name in names
            and column.table in ("", qualifier)
            and column.parent_select is current
        ]
        calls = {type(use.parent) for use in uses if isinstance(use.parent, exp.AggFunc)}
        plain = [use for use in uses if not isinstance(use.parent, exp.AggFunc)]
        if calls and not plain:
            kind = calls.pop()
            return None if calls or kind not in (exp.Sum, exp.Min, exp.Max) else kind
        if calls or not plain or current.args.get("group") or current.args.get("distinct"):
            return None
        passed = set()
        for use in plain:
            holder = use.parent if isinstance(use.parent, exp.Alias) else use
            if holder.arg_key != "expressions" or holder.parent is not current:
                return None
            passed.add(holder.alias_or_name)
        around = current.parent
        if not isinstance(around, exp.Subquery) or around.parent_select is None:
            return None
        names, current, qualifier = passed, around.parent_select, around.alias


def _all_decompose_around(select: exp.Select) -> bool:
    """Whether the first SELECT that aggregates, here or further out, only adds, or takes extremes."""
    from sqlglot import exp

    current: exp.Select | None = select
    while current is not None:
        calls = [c for c in current.find_all(exp.AggFunc) if c.parent_select is current]
        if calls or current.args.get("group"):
            return _all_decompose(calls)
        if current.args.get("distinct") or current.args.get("limit"):
            return False
        current = current.parent_select
    return False


def _all_decompose(calls: list[exp.AggFunc]) -> bool:
    from sqlglot import exp

    return all(isinstance(c, exp.Sum | exp.Min | exp.Max) for c in calls) and not any(
        call.find(exp.Distinct) for call in calls
    )


def _is_of(call: exp.AggFunc, alias: str) -> bool:
    """Whether an aggregate looks at this fact and at nothing else."""
    from sqlglot import exp

    tables = {column.table for column in call.find_all(exp.Column)}
    return tables == {alias}
