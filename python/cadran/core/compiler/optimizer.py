"""Faster shapes for MetricFlow's SQL, each exactly equal to what it replaces.

**Days.** `date_trunc('day', x)` costs a calendar computation a row; `cast(x as date)` costs nothing
when x is a date already.

**Ranges of days.** What is computed from a column cannot be held against the least and greatest
value that the engine knows of each block, so a range of days is written as a half-open one of the
column itself. That takes a column of a time type: any other is left as it is.

**Siblings.** Metrics of one fact whose definitions differ in kind are aggregated apart and joined
on what they are grouped by. Where two such aggregates read the same rows with the same groups, one
pass computes both.

**Cumulative metrics.** MetricFlow joins every row of a fact to every day from which it is visible,
and sums afterwards: rows times days. A sum of sums is the sum, and likewise for least and greatest
values, so the fact may be aggregated first by every column that the rest of the statement looks at.
This holds for any join, whatever stands on its other side; it does not hold for distinct counts,
averages and percentiles, and statements with those are left as they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cadran.core.compiler.by_day import by_day_first

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlglot import exp

    from cadran.core.compiler.by_day import Columns

    # Whether a column, by its relation and its name, is a date or an instant.
    IsTime = Callable[[str, str], bool]


_FACT = "fact_rows"
_MORE = ("group", "where", "distinct", "limit")


def dimensions_before_range_join(select: exp.Select, joined: exp.Join) -> bool:
    """Look up dimensions in the fact of a range join; returns whether anything was moved.

    Args:
        select: joins the spine to a fact, and is itself joined to dimensions by a SELECT around.
        joined: its range join, to a subquery of the fact.
    """
    from sqlglot import exp

    holder, fact = select.parent, joined.this
    if not isinstance(holder, exp.Subquery) or not isinstance(fact, exp.Subquery):
        return False
    name, around = holder.alias_or_name, holder.parent_select
    if around is None or _source(around) is not holder or any(map(select.args.get, _MORE)):
        return False
    joins = list(around.args.get("joins") or ())
    if not joins or not _led_by(fact, select, holder, joins):
        return False
    fact_name = fact.alias_or_name
    inner = exp.select(*(exp.column(name, table=_FACT) for name in fact.named_selects))
    inner = inner.from_(exp.Subquery(this=fact.this, alias=_alias(_FACT)))
    for join in joins:
        inner.append("joins", join.pop())
    dimensions = {join.this.alias_or_name for join in joins}
    moved: dict[tuple[str, str], str] = {}
    for column in _columns(around):
        key = (column.table, column.name)
        if column.table not in dimensions:
            continue
        if key not in moved:
            moved[key] = f"dimension_{len(moved)}"
            inner.select(exp.alias_(column.copy(), moved[key]), copy=False)
            select.select(exp.column(moved[key], table=fact_name), copy=False)
        column.replace(exp.column(moved[key], table=name))
    fact.set("this", inner)
    _keep_used(select, holder, around)
    _keep_used(inner, fact, select)
    return True


def _led_by(
    fact: exp.Subquery, select: exp.Select, holder: exp.Subquery, joins: list[exp.Join]
) -> bool:
    """Whether joins look at the fact's own columns only; they are then made to name them there."""
    from sqlglot import exp

    # What the SELECT around calls a column, to what the fact calls it; none is computed between.
    plain = {}
    for projection in select.selects:
        named = projection.unalias()
        if isinstance(named, exp.Column) and named.table == fact.alias_or_name:
            plain[projection.alias_or_name] = named.name
    if any(join.side != "LEFT" or not join.args.get("on") for join in joins):
        return False
    conditions = [column for join in joins for column in join.args["on"].find_all(exp.Column)]
    led = [column for column in conditions if column.table == holder.alias_or_name]
    dimensions = {join.this.alias_or_name for join in joins}
    if any(column.table not in {*dimensions, holder.alias_or_name} for column in conditions):
        return False
    if any(column.name not in plain for column in led):
        return False
    for column in led:
        column.replace(exp.column(plain[column.name], table=_FACT))
    return True


def _keep_used(select: exp.Select, holder: exp.Subquery, around: exp.Select) -> None:
    """Leave out columns that only led to dimensions: they would keep the fact from shrinking."""
    own = ("", holder.alias_or_name)
    used = {column.name for column in _columns(around) if column.table in own}
    select.set("expressions", [c for c in select.selects if c.alias_or_name in used])


def aligned(left: exp.Select, right: exp.Select) -> exp.Select | None:
    """A copy of an aggregate that reads from the same subquery as its sibling; None if none can.

    The sibling's subquery gets the columns that the other reads beside its own.
    """
    from sqlglot import exp

    ours, theirs = _source(left), _source(right)
    if not isinstance(ours, exp.Subquery) or not isinstance(theirs, exp.Subquery):
        return None
    here, there = ours.this, theirs.this
    more = _more_columns(here, there)
    if more is None:
        return None
    copied = right.copy()
    for column in _columns(copied):
        if column.table == theirs.alias_or_name:
            column.set("table", exp.to_identifier(ours.alias_or_name))
    source = _source(copied)
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


def _columns(select: exp.Select) -> list[exp.Column]:
    """The columns that a SELECT itself names, those of its subqueries left out."""
    from sqlglot import exp

    return [column for column in select.find_all(exp.Column) if column.parent_select is select]


def _source(select: exp.Select) -> exp.Expression | None:
    source = select.args.get("from_") or select.args.get("from")
    return source.this if source is not None else None


def _without_columns(select: exp.Select) -> str:
    frame = select.copy()
    frame.set("expressions", [])
    return str(frame.sql(comments=False))


def _alias(name: str) -> exp.TableAlias:
    from sqlglot import exp

    return exp.TableAlias(this=exp.to_identifier(name))


# Comments that MetricFlow writes above a join of a fact to the spine by a range, and above a join
# of aggregates. Without them there is nothing to do, and sqlglot is not imported.
_MARK = "Join Self Over Time Range"
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
    sql = merge_sibling_aggregates(aggregate_before_range_join(sql, dialect), dialect)
    if columns is not None:
        sql = half_open_ranges(by_day_first(sql, dialect, columns), columns.is_time)
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
            changed |= dimensions_before_range_join(select, join)
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
    sums = list(select.find_all(exp.AggFunc))
    # Each aggregate moves inside, so each must look at the fact alone (or at no column, as a count
    # written SUM(1)): one that looked at the spine would afterwards see fewer rows.
    if not sums or not _all_decompose(sums) or not all(_is_of(call, alias) for call in sums):
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
        seen = (
            column.parent
            if isinstance(column.parent, exp.TimestampTrunc | exp.DateTrunc)
            else column
        )
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
    """Whether the first SELECT that aggregates, here or further out, only adds or compares."""
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
    """Whether an aggregate looks at this fact, or at no column, and at nothing else."""
    from sqlglot import exp

    return {column.table for column in call.find_all(exp.Column)} <= {alias}
