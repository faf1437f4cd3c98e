"""Weeks and longer periods aggregated by day first: a calendar computation a day, not one a row.

`date_trunc('week', x)` costs more a row than adding it up. A sum of sums is the sum, and likewise
for least and greatest values, so rows are aggregated by their day, and the days by their period.
That is exact, doubles apart, which are added up in another order. It is quicker where the days are
few beside the rows: what else is grouped by must be known to have few values.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from sqlglot import exp

_LONGER = re.compile(r"DATE_TRUNC\('(?:week|month|quarter|year)', ", re.IGNORECASE)
_UNITS = frozenset({"WEEK", "MONTH", "QUARTER", "YEAR"})
_ROWS = ("expressions", "from", "from_", "joins", "where")  # parts of a SELECT of single rows
_AROUND = ("with", "with_", "order", "limit")  # parts that stay where they are


class Columns(Protocol):
    """What is known of the columns of a warehouse, by relation and name."""

    def is_time(self, relation: str, column: str) -> bool:
        """Whether a column is a date or an instant."""

    def is_local_time(self, relation: str, column: str) -> bool:
        """Whether it is one without a time zone."""

    def has_few_values(self, relation: str, column: str) -> bool:
        """Whether it is known to have few distinct values."""


class _Step(NamedTuple):
    """A SELECT, the column that it reads, and the source from which it comes."""

    select: exp.Select
    name: str
    source: exp.Expression


class _Trace(NamedTuple):
    """The way of a column to its rows: through which SELECTs, and what computes it there.

    Attributes:
        steps: from the outermost SELECT inwards; none where a SELECT computes it itself.
        select: where it is computed.
        computed: by what; None where it is a column of a table, which the last step names.
    """

    steps: list[_Step]
    select: exp.Select
    computed: exp.Expression | None


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
        trace = _traced(select, key, ctes)
        if trace is None:
            return False
        if trace.computed is not None:
            times[key.sql()] = trace
        elif not columns.has_few_values(*_place(trace, dialect)):
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
    if group is None or not _has_only(select, (*_ROWS, *_AROUND, "group")):
        return False
    keys = {key.sql() for key in group.expressions}
    shown = {projection.unalias().sql() for projection in select.selects}
    sums = [p for p in select.selects if p.unalias().sql() not in keys]
    is_ordered_by_names = all(_is_named(ordered.this, select) for ordered in _ordered(select))
    return bool(sums) and keys <= shown and all(map(_adds_up, sums)) and is_ordered_by_names


def _rewrite(select: exp.Select, key: str, trace: _Trace, ctes: dict[str, exp.Select]) -> None:
    """Put a SELECT by day into itself, and aggregate its days."""
    from sqlglot import exp

    assert trace.computed is not None  # noqa: S101 - a period is computed
    grouped = {expression.sql() for expression in select.args["group"].expressions}
    inner = exp.Select(**{
        name: value for name, value in select.args.items() if name in (*_ROWS, "group")
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
    for name in (*_ROWS, "group"):
        select.set(name, None)
    select.set("expressions", expressions)
    days = exp.Subquery(this=inner, alias=_alias("by_day"))
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
    while (trace := _traced(select, read[0], ctes)) is not None and trace.computed is not None:
        of_cte = [step.source for step in trace.steps if isinstance(step.source, exp.Table)]
        if not of_cte:
            trace.computed.replace(_day(trace.computed))
            return
        body = exp.Subquery(this=ctes[of_cte[0].name].copy())
        body.set("alias", _alias(of_cte[0].alias_or_name))
        of_cte[0].replace(body)


def _traced(select: exp.Select, key: exp.Expression, ctes: dict[str, exp.Select]) -> _Trace | None:
    """The way of what a SELECT reads to its rows; None where it cannot be told."""
    from sqlglot import exp

    steps: list[_Step] = []
    while isinstance(key, exp.Column):
        source = _source(select, key)
        if source is None:
            return None
        steps.append(_Step(select, key.name, source))
        inner = source.this if isinstance(source, exp.Subquery) else None
        if isinstance(source, exp.Table):
            inner = ctes.get(source.name) if not source.db else None
            if inner is None:
                return _Trace(steps, select, None)
        if not isinstance(inner, exp.Select) or not _has_only(inner, _ROWS):
            return None
        read = [p for p in inner.selects if p.alias_or_name == key.name]
        if len(read) != 1 or inner.find(exp.Window, exp.AggFunc):
            return None
        select, key = inner, read[0].unalias()
    return _Trace(steps, select, key)


def _is_of_local_days(
    trace: _Trace, ctes: dict[str, exp.Select], columns: Columns, dialect: str
) -> bool:
    """Whether a period is one of a plain column of days or instants without a zone."""
    from sqlglot import exp

    truncated = trace.computed
    if not isinstance(truncated, (exp.TimestampTrunc, exp.DateTrunc)):
        return False
    if truncated.text("unit").upper() not in _UNITS:
        return False
    origin = _traced(trace.select, truncated.this, ctes)
    if origin is None or origin.computed is not None:
        return False
    return columns.is_local_time(*_place(origin, dialect))


def _is_alone(select: exp.Select, trace: _Trace) -> bool:
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


def _place(trace: _Trace, dialect: str) -> tuple[str, str]:
    """The relation, as the statement names it, and the column."""
    table = trace.steps[-1].source.copy()
    table.set("alias", None)
    return table.sql(dialect=dialect), trace.steps[-1].name


def _source(select: exp.Select, column: exp.Column) -> exp.Expression | None:
    from_ = select.args.get("from_") or select.args.get("from")
    if from_ is None:
        return None
    sources = [from_.this, *(join.this for join in select.args.get("joins") or ())]
    if column.table:
        sources = [source for source in sources if source.alias_or_name == column.table]
    return sources[0] if len(sources) == 1 else None


def _adds_up(projection: exp.Expression) -> bool:
    from sqlglot import exp

    call = projection.unalias()
    return isinstance(call, exp.Sum | exp.Min | exp.Max) and not call.find(
        exp.Distinct, exp.Window, exp.Subquery
    )


def _has_only(select: exp.Select, parts: tuple[str, ...]) -> bool:
    return not any(value for name, value in select.args.items() if name not in parts)


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


def _alias(name: str) -> exp.TableAlias:
    from sqlglot import exp

    return exp.TableAlias(this=exp.to_identifier(name))
