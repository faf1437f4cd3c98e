"""Weeks and longer periods aggregated by day first: a calendar computation a day, not one a row.

`date_trunc('week', x)` costs more a row than adding it up. A sum of sums is the sum, and likewise
for least and greatest values, so rows are aggregated by their day, and the days by their period.
That is exact, doubles apart, which are added up in another order. It is quicker where the days are
few beside the rows: what else is grouped by must be known to have few values.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cadran.core.compiler.trees import (
    ROWS,
    Trace,
    alias,
    columns_of,
    has_only,
    place,
    source_of,
    traced,
)

if TYPE_CHECKING:
    from sqlglot import exp

    from cadran.core.compiler.trees import Columns

_LONGER = re.compile(r"DATE_TRUNC\('(?:week|month|quarter|year)', ", re.IGNORECASE)
_UNITS = frozenset({"WEEK", "MONTH", "QUARTER", "YEAR"})
_AROUND = ("with", "with_", "order", "limit")  # parts that stay where they are


def by_day_first(sql: str, dialect: str, columns: Columns) -> str:
    """The statement with sums by week or longer computed from sums by day.

    Args:
        sql: a statement of MetricFlow.
        dialect: sqlglot's name of its dialect.
        columns: tells which columns are times and which have few values.
    """
    if not _LONGER.search(sql):
        return sql
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(sql, dialect=dialect)
    ctes = {cte.alias: cte.this for cte in tree.find_all(exp.CTE)}
    changed = [_split(select, ctes, columns, dialect) for select in list(tree.find_all(exp.Select))]
    return str(tree.sql(dialect=dialect, pretty=True)) if any(changed) else sql


def _split(select: exp.Select, ctes: dict[str, exp.Select], columns: Columns, dialect: str) -> bool:
    """Aggregate the rows of a SELECT by day first, where that is exact and quick."""
    if not _is_sum_by_keys(select):
        return False
    times = {}
    for key in select.args["group"].expressions:
        trace = traced(select, key, ctes)
        if trace is None:
            return False
        if trace.computed is not None:
            times[key.sql()] = trace
        elif not columns.has_few_values(*place(trace, dialect)):
            return False
    if len(times) != 1:
        return False
    key, trace = times.popitem()
    if not _is_of_local_days(trace, ctes, columns, dialect) or not _is_alone(select, trace):
        return False
    _rewrite(select, key, trace, ctes)
    return True


def _is_sum_by_keys(select: exp.Select) -> bool:
    """Whether a SELECT shows each thing that it groups by, and else only what adds up."""
    group = select.args.get("group")
    if group is None or not has_only(select, (*ROWS, *_AROUND, "group")):
        return False
    keys = {key.sql() for key in group.expressions}
    shown = {projection.unalias().sql() for projection in select.selects}
    sums = [p for p in select.selects if p.unalias().sql() not in keys]
    is_ordered_by_names = all(_is_named(ordered.this, select) for ordered in _ordered(select))
    return bool(sums) and keys <= shown and all(map(_adds_up, sums)) and is_ordered_by_names


def _rewrite(select: exp.Select, key: str, trace: Trace, ctes: dict[str, exp.Select]) -> None:
    """Put a SELECT by day into itself, and aggregate its days."""
    from sqlglot import exp

    assert trace.computed is not None  # noqa: S101 - a period is computed
    grouped = {expression.sql() for expression in select.args["group"].expressions}
    inner = exp.Select(**{
        name: value for name, value in select.args.items() if name in (*ROWS, "group")
    }).copy()  # fmt: skip
    expressions, keys = [], []
    for projection in select.selects:
        text, name = projection.unalias().sql(), projection.alias_or_name
        shown = exp.column(name, quoted=True)
        if text == key:
            shown = trace.computed.copy()
            shown.set("this", exp.column(name, quoted=True))
        elif text not in grouped:
            shown = type(projection.unalias())(this=shown)
        if text in grouped:
            keys.append(shown)
        expressions.append(exp.alias_(shown.copy(), name, quoted=True))
    _truncate_to_days(inner, key, ctes)
    _count(inner)
    for name in (*ROWS, "group"):
        select.set(name, None)
    select.set("expressions", expressions)
    days = exp.Subquery(this=inner, alias=alias("by_day"))
    select.from_(days, copy=False).group_by(*keys, copy=False)


def _truncate_to_days(select: exp.Select, key: str, ctes: dict[str, exp.Select]) -> None:
    """Let what a SELECT groups by be the day, where it is computed: in a copy of a CTE's own."""
    from sqlglot import exp

    places = [*select.selects, *select.args["group"].expressions]
    read = [place.unalias() for place in places if place.unalias().sql() == key]
    if not isinstance(read[0], exp.Column):
        for truncated in read:
            truncated.replace(_day(truncated))
        return
    while (trace := traced(select, read[0], ctes)) is not None and trace.computed is not None:
        of_cte = [step.source for step in trace.steps if isinstance(step.source, exp.Table)]
        if not of_cte:
            trace.computed.replace(_day(trace.computed))
            return
        body = exp.Subquery(this=ctes[of_cte[0].name].copy())
        body.set("alias", alias(of_cte[0].alias_or_name))
        of_cte[0].replace(body)


def _count(select: exp.Select) -> None:
    """Count where ones are added up for each value that there is: groups have a row, at least."""
    from sqlglot import exp

    source = source_of(select)
    if isinstance(source, exp.Subquery) and isinstance(source.this, exp.Select):
        for projection in list(source.this.selects):
            counted, name = _one_for_each(projection.unalias()), projection.alias_or_name
            places = ("", source.alias_or_name)
            uses = [c for c in columns_of(select) if c.name == name and c.table in places]
            if counted is not None and all(isinstance(use.parent, exp.Sum) for use in uses):
                projection.unalias().replace(counted)
                for use in uses:
                    use.parent.replace(exp.Count(this=use.copy()))
    for total in [p.unalias() for p in select.selects if isinstance(p.unalias(), exp.Sum)]:
        counted = _one_for_each(total.this)
        if counted is not None:
            total.replace(exp.Count(this=counted))


def _one_for_each(expression: exp.Expression) -> exp.Expression | None:
    """What is counted by `case when x is not null then 1 else 0 end`; None of anything else."""
    from sqlglot import exp

    cases = expression.args.get("ifs") if isinstance(expression, exp.Case) else None
    if not cases or len(cases) > 1 or expression.this:
        return None
    is_present, default = cases[0].this, expression.args.get("default")
    is_one = cases[0].args["true"] == exp.Literal.number(1) and default == exp.Literal.number(0)
    if not is_one or not isinstance(is_present, exp.Not):
        return None
    is_null = is_present.this
    return (
        is_null.this.copy() if is_null == exp.Is(this=is_null.this, expression=exp.null()) else None
    )


def _is_of_local_days(
    trace: Trace, ctes: dict[str, exp.Select], columns: Columns, dialect: str
) -> bool:
    """Whether a period is one of a plain column of days or instants without a zone."""
    from sqlglot import exp

    truncated = trace.computed
    if not isinstance(truncated, (exp.TimestampTrunc, exp.DateTrunc)):
        return False
    if truncated.text("unit").upper() not in _UNITS:
        return False
    origin = traced(trace.select, truncated.this, ctes)
    if origin is None or origin.computed is not None:
        return False
    return columns.is_local_time(*place(origin, dialect))


def _is_alone(select: exp.Select, trace: Trace) -> bool:
    """Whether a period is read for nothing but to be grouped by."""
    from sqlglot import exp

    names = {id(step.select): (step.select, step.name) for step in trace.steps}
    if trace.steps:
        names[id(trace.select)] = trace.select, trace.steps[-1].name
    for within, name in names.values():
        for column in within.find_all(exp.Column):
            if column.name != name or column.find_ancestor(exp.Select) is not within:
                continue
            holder = column.parent.parent if isinstance(column.parent, exp.Alias) else column.parent
            is_key = within is select and isinstance(holder, exp.Group)
            # Where the period is computed, a column of its name is what it is computed of.
            is_origin = within is trace.select and holder is trace.computed
            if not is_key and not is_origin and holder is not within:
                return False
    return True


def _adds_up(projection: exp.Expression) -> bool:
    from sqlglot import exp

    call = projection.unalias()
    return isinstance(call, exp.Sum | exp.Min | exp.Max) and not call.find(
        exp.Distinct, exp.Window, exp.Subquery
    )


def _ordered(select: exp.Select) -> list[exp.Expression]:
    order = select.args.get("order")
    return list(order.expressions) if order is not None else []


def _is_named(ordered: exp.Expression, select: exp.Select) -> bool:
    """Whether an order is by a column as the SELECT calls it."""
    from sqlglot import exp

    names = [projection.alias_or_name for projection in select.selects]
    return isinstance(ordered, exp.Column) and not ordered.table and ordered.name in names


def _day(truncated: exp.Expression) -> exp.Expression:
    from sqlglot import exp

    return exp.cast(truncated.this.copy(), "date")
