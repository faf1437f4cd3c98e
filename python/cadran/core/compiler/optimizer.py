"""Faster shapes for MetricFlow's SQL, each exactly equal to what it replaces.

**Days.** `date_trunc('day', x)` costs a calendar computation a row; `cast(x as date)` costs nothing
when x is a date already.

**Ranges of days.** What is computed from a column cannot be held against the least and greatest
value that the engine knows of each block, so a range of days is written as a half-open one of the
column itself. That takes a column of a time type: any other is left as it is.

**Siblings.** Metrics of one fact whose definitions differ in kind are aggregated apart and joined
on what they are grouped by. Where two such aggregates read the same rows with the same groups, one
pass computes both.

**Longer periods and cumulative metrics** are aggregated first by what the rest looks at: `by_day`
and `range_joins`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cadran.core.compiler.by_day import by_day_first
from cadran.core.compiler.range_joins import aggregate_before_range_join
from cadran.core.compiler.trees import columns_of, source_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlglot import exp

    from cadran.core.compiler.trees import Columns

    # Whether a column, by its relation and its name, is a date or an instant.
    IsTime = Callable[[str, str], bool]


def aligned(left: exp.Select, right: exp.Select) -> exp.Select | None:
    """A copy of an aggregate that reads from the same subquery as its sibling; None if none can.

    The sibling's subquery gets the columns that the other reads beside its own.
    """
    from sqlglot import exp

    ours, theirs = source_of(left), source_of(right)
    if not isinstance(ours, exp.Subquery) or not isinstance(theirs, exp.Subquery):
        return None
    here, there = ours.this, theirs.this
    more = _more_columns(here, there)
    if more is None:
        return None
    copied = right.copy()
    for column in columns_of(copied):
        if column.table == theirs.alias_or_name:
            column.set("table", exp.to_identifier(ours.alias_or_name))
    source = source_of(copied)
    if source is None or not source.replace(ours.copy()):
        return None
    if _without_columns(left) != _without_columns(copied):
        return None
    for column in more:
        here.select(column.copy(), copy=False)
    return copied


def _more_columns(here: exp.Expression, there: exp.Expression) -> list[exp.Expression] | None:
    """What one SELECT reads beside the other from the same rows; None where they are not the same.

    A name that stands for two things in the two of them is no column to be shared.
    """
    from sqlglot import exp

    if not isinstance(here, exp.Select) or not isinstance(there, exp.Select):
        return None
    is_more = here.find(exp.AggFunc, exp.Window) or here.args.get("group")
    if is_more or _without_columns(here) != _without_columns(there):
        return None
    known = {column.alias_or_name: column.unalias().sql() for column in here.selects}
    theirs = {column.alias_or_name: column.unalias().sql() for column in there.selects}
    if any(known.get(name, text) != text for name, text in theirs.items()):
        return None
    return [column for column in there.selects if column.alias_or_name not in known]


def _without_columns(select: exp.Select) -> str:
    frame = select.copy()
    frame.set("expressions", [])
    return str(frame.sql(comments=False))


# A comment that MetricFlow writes above a join of aggregates. Without it there is nothing to do,
# and sqlglot is not imported.
_COMBINED = "Combine Aggregated Outputs"
_DAY = re.compile(r"DATE_TRUNC\('day', ([\w.]+)\)", re.IGNORECASE)
_DAYS = re.compile(
    r"(?:\bFROM\s+[^\s()]+\s+(?:AS\s+)?(?P<alias>\w+)\s+WHERE\s+)?"
    r"(?P<range>DATE_TRUNC\('day', (?:(?P<table>\w+)\.)?(?P<column>\w+)\)"
    r" BETWEEN '(?P<first>\d{4}-\d\d-\d\d)' AND '(?P<last>\d{4}-\d\d-\d\d)')",
    re.IGNORECASE,
)
_RELATION = re.compile(r"\b(?:FROM|JOIN)\s+([^\s()]+)\s+(?:AS\s+)?(\w+)", re.IGNORECASE)


def faster(sql: str, dialect: str, columns: Columns | None = None) -> str:
    """The statement in its fastest shape that is exactly equal.

    Args:
        sql: a statement of MetricFlow.
        dialect: sqlglot's name of its dialect.
        columns: tells what is known of columns; without it nothing is.
    """
    sql = aggregate_before_range_join(sql, dialect, columns)
    sql = merge_sibling_aggregates(sql, dialect)
    if columns is not None:
        if not columns.reads_few_rows:
            sql = by_day_first(sql, dialect, columns)
        sql = half_open_ranges(sql, columns.is_time)
    return _DAY.sub(r"CAST(\1 AS DATE)", sql)


def half_open_ranges(sql: str, is_time: IsTime) -> str:
    """The statement with ranges of days of a time column as half-open ranges of the column.

    A quote within a text is doubled, so that no value of a filter can look like a range.
    """
    relations: dict[str, set[str]] = {}
    for relation, alias in _RELATION.findall(sql):
        relations.setdefault(alias, set()).add(relation)

    def half_open(match: re.Match[str]) -> str:
        table = match["table"] or match["alias"]
        known = relations.get(table or "", set())
        if len(known) != 1 or not is_time(next(iter(known)), match["column"]):
            return match[0]
        column = f"{match['table']}.{match['column']}" if match["table"] else match["column"]
        first, last = match["first"], match["last"]
        written = f"({column} >= DATE '{first}' AND {column} < DATE '{last}' + 1)"
        return match[0].removesuffix(match["range"]) + written

    return _DAYS.sub(half_open, sql)


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
            if join.side == "FULL" and _merged(select, first.this, join):
                changed = True
        if changed and not select.args.get("joins"):
            _take_single_rows(select, first.this)
    return tree.sql(dialect=dialect, pretty=True) if changed else sql


def _merged(select: exp.Select, kept: exp.Subquery, join: exp.Join) -> bool:
    """Compute a joined aggregate in the one that is kept, where both group the same rows."""
    from sqlglot import exp

    left, right = _flat(kept), _flat(join.this)
    if left is None or right is None:
        return False
    if _frame(left[0]) != _frame(right[0]):
        sibling = aligned(left[0], right[0])
        if sibling is None:
            return False
        right = sibling, right[1]
    aggregate, shown = left
    there = {column.alias_or_name: column.unalias().sql() for column in aggregate.selects}
    computed = {}
    for column in right[0].selects:
        name = column.alias_or_name
        if there.get(name) != column.unalias().sql():
            name = name if name not in there else f"{name}_{join.this.alias}"
            there[name] = column.unalias().sql()
            aggregate.select(exp.alias_(column.unalias().copy(), name), copy=False)
        computed[column.alias_or_name] = exp.column(name)
    names = {}
    for name, expression in right[1].items():
        moved = _over(expression, computed)
        names[name] = name if shown.get(name, moved) == moved else f"{name}_{join.this.alias}"
        shown[names[name]] = moved
    joined = join.this.alias
    join.pop()
    for column in select.find_all(exp.Column):
        if column.table == joined:
            column.replace(exp.column(names[column.name], table=kept.alias))
    outer = exp.select(*(exp.alias_(expression, name) for name, expression in shown.items()))
    kept.set("this", outer.from_(aggregate.subquery("aggregated")))
    return True


def _take_single_rows(select: exp.Select, kept: exp.Subquery) -> None:
    """Take the rows of the one aggregate that is left as they are: each of its groups has one.

    MetricFlow takes the greatest of the rows that joins may have made of one group.
    """
    from sqlglot import exp

    left, group = _flat(kept), select.args.get("group")
    calls = [c for c in select.find_all(exp.AggFunc) if c.parent_select is select]
    if left is None or group is None or not all(type(call) is exp.Max for call in calls):
        return
    aggregate, shown = left
    computed = {column.alias_or_name: column.unalias().sql() for column in aggregate.selects}
    keys = {}
    for key in group.expressions:
        columns = {column.sql(): column for column in key.find_all(exp.Column)}
        if not isinstance(key, exp.Coalesce) or len(columns) != 1:
            return
        (keys[key.sql()],) = columns.values()
    grouped = {computed.get(shown[column.name].sql()) for column in keys.values()}
    if not grouped >= {key.sql() for key in aggregate.args["group"].expressions}:
        return
    select.set("group", None)
    for call in calls:
        call.replace(call.this)
    for projection in select.selects:
        if (text := projection.unalias().sql()) in keys:
            projection.unalias().replace(keys[text].copy())


def _flat(side: exp.Expression) -> tuple[exp.Select, dict[str, exp.Expression]] | None:
    """An aggregate and what is shown of it as expressions over its columns; None if it is more."""
    from sqlglot import exp

    select = side.this if isinstance(side, exp.Subquery) else None
    if not isinstance(select, exp.Select) or select.find(exp.Window, exp.Distinct, exp.Limit):
        return None
    if select.args.get("group"):
        return select, {name: exp.column(name) for name in select.named_selects}
    source = select.args.get("from_") or select.args.get("from")
    if source is None or any(select.args.get(part) for part in ("joins", "where", "having")):
        return None
    inner = _flat(source.this)
    if inner is None or any(isinstance(node, exp.AggFunc) for node in _nodes(select.selects)):
        return None
    shown = {column.alias_or_name: _over(column.unalias(), inner[1]) for column in select.selects}
    return inner[0], shown


def _nodes(expressions: list[exp.Expression]) -> list[exp.Expression]:
    return [node for expression in expressions for node in expression.walk()]


def _over(expression: exp.Expression, computed: dict[str, exp.Expression]) -> exp.Expression:
    """An expression with each column replaced by what computes it."""
    from sqlglot import exp

    def replaced(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Column):
            inner = computed[node.name].copy()
            return inner if isinstance(inner, exp.Column | exp.Func) else exp.paren(inner)
        return node

    return expression.copy().transform(replaced)


def _frame(select: exp.Select) -> str:
    """All of an aggregate but its columns."""
    frame = select.copy()
    frame.set("expressions", [])
    return str(frame.sql(comments=False))
