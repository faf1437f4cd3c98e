"""Where MetricFlow joins dimensions: moved to where fewer rows are, each exactly equal.

**Dimensions of a cumulative metric.** MetricFlow joins every row of a fact to every day from which
it is visible, and looks up its dimensions afterwards: rows times days. A dimension depends on the
fact's row alone, so it may be looked up before; what is left can then be aggregated by it first.

**Siblings that join.** Two aggregates of the same rows, with the same joins and groups, that differ
in which columns they read: one pass over both columns computes both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp

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
    told = {column.alias_or_name: column.unalias().sql() for column in there.selects}
    if any(known.get(name, text) != text for name, text in told.items()):
        return None
    return [column for column in there.selects if column.alias_or_name not in known]


def _columns(select: exp.Select) -> list[exp.Column]:
    """The columns that a SELECT itself names, those of its subqueries left out."""
    from sqlglot import exp

    return [column for column in select.find_all(exp.Column) if column.parent_select is select]


def _source(select: exp.Select) -> exp.Expression | None:
    found = select.args.get("from_") or select.args.get("from")
    return found.this if found is not None else None


def _without_columns(select: exp.Select) -> str:
    frame = select.copy()
    frame.set("expressions", [])
    return str(frame.sql(comments=False))


def _alias(name: str) -> exp.TableAlias:
    from sqlglot import exp

    return exp.TableAlias(this=exp.to_identifier(name))
