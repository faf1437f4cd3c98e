"""Cumulative metrics: a fact joined to every day from which its rows are visible, made small.

MetricFlow joins every row of a fact to the days of the spine by a range, and sums afterwards: rows
times days. Two shapes give the same rows sooner.

**Aggregated first.** A sum of sums is the sum, and likewise for least and greatest values, so the
fact may be aggregated first by every column that the rest of the statement looks at. This holds for
any join, whatever stands on its other side; it does not hold for distinct counts, averages and
percentiles, and statements with those are left as they are.

**Running.** Where a day sees all rows up to it, what it sees adds up to the running aggregate of
the last time before it, so each day is joined to that one row of each group. Rows without a time
are seen from no day. Both times are plain days or instants without a zone, so that they sort as
they compare. Windows that also begin somewhere see few days, and are left as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cadran.core.compiler.trees import alias, columns_of, place, source_of, traced
from cadran.core.warehouse import dialects

if TYPE_CHECKING:
    from sqlglot import exp

    from cadran.core.compiler.trees import Columns

    # Columns that are aggregated, each by its aggregate.
    _Measures = dict[str, type[exp.AggFunc]]


# A comment that MetricFlow writes above a join of a fact to the spine by a range. Without it there
# is nothing to do, and sqlglot is not imported.
_MARK = "Join Self Over Time Range"
_FACT = "fact_rows"
_MORE = ("group", "where", "distinct", "limit")


def aggregate_before_range_join(sql: str, dialect: str, columns: Columns | None = None) -> str:
    """The statement with each fact in a range join aggregated first, where that is exact.

    Args:
        sql: a statement of MetricFlow.
        dialect: sqlglot's name of its dialect.
        columns: tells what is known of columns; without it no running aggregate is read.
    """
    if _MARK not in sql:
        return sql
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(sql, dialect=dialect)
    known = None
    if columns is not None and dialect == dialects.DUCKDB:
        known = _Known({cte.alias: cte.this for cte in tree.find_all(exp.CTE)}, columns, dialect)
    changed = False
    for number, join in enumerate(list(tree.find_all(exp.Join))):
        select = join.parent
        if isinstance(select, exp.Select) and _is_range_join(join):
            if isinstance(join.this, exp.Table) and not select.args.get("group"):
                _read_apart(select, join)
            changed |= dimensions_before_range_join(select, join)
            measures: _Measures = {}
            if isinstance(join.this, exp.Table):
                measures = _aggregate_table(select, join.this)
            elif isinstance(join.this, exp.Subquery):
                measures = _aggregate_subquery(select, join.this)
            if measures and known and _sees_all_before(select, join, measures, known):
                _read_running(select, join, measures, f"running_{number}")
            changed |= bool(measures)
    return tree.sql(dialect=dialect, pretty=True) if changed else sql


class _Known(NamedTuple):
    """What is known of a statement: its CTEs, the columns of its tables, its dialect."""

    ctes: dict[str, exp.Select]
    columns: Columns
    dialect: str

    def is_local_time(self, select: exp.Select, expression: exp.Expression) -> bool:
        """Whether what a SELECT reads is a day or an instant without a zone, or a period of one."""
        from sqlglot import exp

        trace = traced(select, expression, self.ctes)
        if trace is None:
            return False
        if trace.computed is None:
            return self.columns.is_local_time(*place(trace, self.dialect))
        computed = trace.computed
        is_period = isinstance(computed, exp.TimestampTrunc | exp.DateTrunc)
        is_period |= isinstance(computed, exp.Cast) and computed.is_type("date")
        return is_period and self.is_local_time(trace.select, computed.this)

    def has_few_values(self, select: exp.Select, expression: exp.Expression) -> bool:
        """Whether what a SELECT reads is a column that is known to have few values."""
        trace = traced(select, expression, self.ctes)
        if trace is None or trace.computed is not None:
            return False
        return self.columns.has_few_values(*place(trace, self.dialect))


def _is_range_join(join: exp.Join) -> bool:
    from sqlglot import exp

    condition = join.args.get("on")
    if condition is None or join.side or join.kind not in ("", "INNER"):
        return False
    return bool(condition.find(exp.LT, exp.LTE, exp.GT, exp.GTE)) and not condition.find(exp.EQ)


def _read_apart(select: exp.Select, join: exp.Join) -> None:
    """Read a bare table by a subquery, which computes what a SELECT around adds up."""
    from sqlglot import exp

    if select.find(exp.Window, exp.Subquery, exp.AggFunc):
        return
    fact = join.this.alias_or_name
    inner = exp.select().from_(join.this.copy())
    names: dict[str, str] = {}

    def move(expression: exp.Expression) -> None:
        text = expression.sql()
        if text not in names:
            names[text] = f"read_{len(names)}"
            inner.select(exp.alias_(expression.copy(), names[text]), copy=False)
        expression.replace(exp.column(names[text], table=fact))

    for projection in select.selects:
        if {column.table for column in projection.find_all(exp.Column)} == {fact}:
            shown = exp.alias_(projection.unalias(), projection.alias_or_name)
            projection.replace(shown)
            move(shown.this)
    for column in [
        c for c in columns_of(select) if c.table == fact and c.name not in names.values()
    ]:
        is_period = isinstance(column.parent, exp.TimestampTrunc | exp.DateTrunc)
        move(column.parent if is_period else column)
    join.set("this", inner.subquery(fact))


def _aggregate_table(select: exp.Select, fact: exp.Table) -> _Measures:
    """Aggregate a bare table whose own SELECT does the summing."""
    from sqlglot import exp

    name_of_fact = fact.alias_or_name
    if not select.args.get("group") or select.find(exp.Window, exp.Subquery):
        return {}
    sums = list(select.find_all(exp.AggFunc))
    # Each aggregate moves inside, so each must look at the fact alone (or at no column, as a count
    # written SUM(1)): one that looked at the spine would afterwards see fewer rows.
    if not sums or not _all_decompose(sums) or not all(_is_of(call, name_of_fact) for call in sums):
        return {}
    inner = exp.select().from_(fact.copy())
    for number, call in enumerate(sums):
        name = f"part_{number}"
        inner = inner.select(exp.alias_(call.copy(), name))
        call.set("this", exp.column(name, table=name_of_fact))
    keys: dict[str, str] = {}
    for column in [c for c in select.find_all(exp.Column) if c.table == name_of_fact]:
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
        seen.replace(exp.column(keys[text], table=name_of_fact))
    fact.replace(inner.subquery(name_of_fact))
    return {f"part_{number}": type(call) for number, call in enumerate(sums)}


def _aggregate_subquery(select: exp.Select, fact: exp.Subquery) -> _Measures:
    """Aggregate a subquery whose measures are summed by this SELECT or one around it."""
    from sqlglot import exp

    inner = fact.this
    if not isinstance(inner, exp.Select) or inner.find(exp.AggFunc, exp.Distinct, exp.Window):
        return {}
    columns = [projection.alias_or_name for projection in inner.selects]
    measures = {
        name: how
        for name in columns
        if (how := _how_aggregated(select, fact.alias, name)) is not None
    }
    if not measures or not _all_decompose_around(select):
        return {}
    keys = [name for name in columns if name not in measures]
    before = exp.select(*(exp.column(name) for name in keys)).from_(inner.subquery("fact_rows"))
    for name, how in measures.items():
        before = before.select(exp.alias_(how(this=exp.column(name)), name))
    for name in keys:
        before = before.group_by(exp.column(name))
    fact.set("this", before)
    return measures


def _sees_all_before(
    select: exp.Select, join: exp.Join, measures: _Measures, known: _Known
) -> bool:
    """Whether each time of a SELECT is joined to all rows of a fact up to it, and only added up.

    Args:
        select: joins times to the fact.
        join: its range join, to the fact that was aggregated.
        measures: the columns of the fact that are aggregated.
        known: what is known of the statement.
    """
    from sqlglot import exp

    fact, seen = join.this, join.args["on"].unnest()
    time, day, shown = seen.this, seen.expression, select.named_selects
    if len(select.args["joins"]) > 1 or not isinstance(seen, exp.LTE):
        return False
    if not isinstance(time, exp.Column) or not isinstance(day, exp.Column):
        return False
    if time.table != fact.alias or day.table in ("", fact.alias):
        return False
    own = {id(column) for column in (time, *fact.find_all(exp.Column))}
    for column in select.find_all(exp.Column):
        is_time = column.name == time.name and column.table in ("", fact.alias)
        is_shown = not column.table and isinstance(column.parent, exp.Ordered)
        if is_time and id(column) not in own and not (is_shown and time.name in shown):
            return False
    keys = {key.alias_or_name: key.unalias() for key in fact.this.selects}
    at = keys.pop(time.name)
    if not known.is_local_time(select, day) or not known.is_local_time(fact.this, at):
        return False
    groups = [key for name, key in keys.items() if name not in measures]
    return all(known.has_few_values(fact.this, group) for group in groups)


def _read_running(select: exp.Select, join: exp.Join, measures: _Measures, name: str) -> None:
    """Let each time of a SELECT read the running aggregates of the last one before it.

    Args:
        select: joins times to the fact, and nothing else.
        join: its range join, to the fact that was aggregated.
        measures: the columns of the fact that are aggregated, and how.
        name: what the running aggregates may be called in the statement.
    """
    from sqlglot import exp

    fact, time, day = join.this, join.args["on"].unnest().this, join.args["on"].unnest().expression
    of_fact, by_key = fact.alias, fact.this
    groups = [key for key in by_key.named_selects if key not in (*measures, time.name)]
    running = exp.select(*(exp.column(key) for key in (*groups, time.name)))
    for measure, how in measures.items():
        so_far = exp.Window(
            this=how(this=exp.column(measure)),
            partition_by=[exp.column(group) for group in groups],
            order=exp.Order(expressions=[exp.Ordered(this=exp.column(time.name))]),
        )
        running.select(exp.alias_(so_far, measure), copy=False)
    running.from_(exp.Subquery(this=by_key, alias=alias("by_key")), copy=False)
    running.where(exp.column(time.name).is_(exp.null()).not_(), copy=False)
    conditions: list[exp.Expression] = [exp.GTE(this=day.copy(), expression=time.copy())]
    if groups:
        each = f"{name}_groups"
        select.with_(name, as_=running, materialized=True, copy=False)
        values = exp.select(*(exp.column(group) for group in groups)).distinct().from_(name)
        select.set("joins", [exp.Join(this=values.subquery(each), kind="CROSS"), join])
        join.set("this", exp.alias_(exp.to_table(name), of_fact, table=True))
        for group in groups:
            one, other = (exp.column(group, table=side) for side in (each, of_fact))
            conditions.append(exp.NullSafeEQ(this=one, expression=other))
    else:
        fact.set("this", running)
    join.set("method", "ASOF")
    join.set("kind", None)
    join.set("on", exp.and_(*conditions))


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
    if around is None or source_of(around) is not holder or any(map(select.args.get, _MORE)):
        return False
    joins = list(around.args.get("joins") or ())
    if not joins or not _led_by(fact, select, holder, joins):
        return False
    fact_name = fact.alias_or_name
    inner = exp.select(*(exp.column(name, table=_FACT) for name in fact.named_selects))
    inner = inner.from_(exp.Subquery(this=fact.this, alias=alias(_FACT)))
    for join in joins:
        inner.append("joins", join.pop())
    dimensions = {join.this.alias_or_name for join in joins}
    moved: dict[tuple[str, str], str] = {}
    for column in columns_of(around):
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
    used = {column.name for column in columns_of(around) if column.table in own}
    select.set("expressions", [c for c in select.selects if c.alias_or_name in used])
