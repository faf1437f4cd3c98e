"""What MetricFlow's SQL leaves to chance or reads twice, made one answer.

**Days that another month lacks.** An offset of months or years by day leads from the 31st to the
28th, so that one day stands for several. A KPI is compared with the same day only, and where the
other month has none there is nothing to compare with.

**Ties of a conversion.** Of the base events of one entity on the last day before a conversion,
MetricFlow takes whichever row comes first. It is the least one here, by the columns that the
question reads of it in their order: the same whatever order the rows lie in.

**Counts of nothing.** A sum, a count, an average over no rows is NULL, but a distinct count is 0:
in a total over no rows it is NULL as well, for no value was measured.

**Spark.** A quotient of decimals is a decimal of few places there, and a mean of them too; here
they are doubles, as on DuckDB. What has no value comes last, whichever way rows are ordered.
"""

from __future__ import annotations

import re

from cadran.core.query.request import GRAINS, Query
from cadran.core.warehouse import dialects

_TEXT = re.compile(r"('(?:[^']|'')*')")
_OFFSET = re.compile(r"([\w.]+) - INTERVAL (\d+) (month|quarter|year) = ([\w.]+)", re.IGNORECASE)
_DEDUPLICATED = re.compile(r"SELECT DISTINCT\b(?:(?!\bFROM\b).)*", re.DOTALL)
_FIRST = re.compile(r"\bFIRST_VALUE\(([\w.]+)\) OVER\b")
_LAST_DAY = re.compile(r"(\bORDER BY [\w.]+ DESC)(\s+ROWS BETWEEN UNBOUNDED PRECEDING\b)")
_DISTINCT = "COUNT(DISTINCT "


def corrected(sql: str, query: Query, dialect: str, *, same_days: bool) -> str:
    """A statement of MetricFlow with one answer, whatever the calendar and the order of rows.

    Args:
        sql: the statement.
        query: the question that it answers.
        dialect: sqlglot's name of its dialect.
        same_days: whether an offset compares a day with its own of another month only.
    """
    parts = _TEXT.split(sql)  # what stands in quotes is a value of a filter
    if same_days and _is_by_day(query):
        parts[::2] = [_OFFSET.sub(_same_day, part) for part in parts[::2]]
    if "mf_internal_uuid" in sql:
        parts[::2] = [_DEDUPLICATED.sub(_with_tie_break, part) for part in parts[::2]]
    sql = "".join(parts)
    if dialect == dialects.SPARK:
        sql = _of_spark(sql)
    if query.metrics and not query.group_by and _DISTINCT in sql:
        return _null_over_no_rows(sql, dialect)
    return sql


def _is_by_day(query: Query) -> bool:
    """Whether each time of a question is by day or finer; other periods begin on a first."""
    grains = [
        group.asked_grain or "day"
        for group in query.group_by
        if group.asked_grain or group.base == "metric_time"
    ]
    return bool(grains) and all(grain in GRAINS[: GRAINS.index("day") + 1] for grain in grains)


def _same_day(match: re.Match[str]) -> str:
    day, count, unit, other = match.groups()
    return f"({match[0]} AND {other} + INTERVAL {count} {unit} = {day})"


def _with_tie_break(select: re.Match[str]) -> str:
    columns = "".join(f", {column}" for column in dict.fromkeys(_FIRST.findall(select[0])))
    return _LAST_DAY.sub(rf"\g<1>{columns}\g<2>", select[0])


def _of_spark(sql: str) -> str:
    """The statement as Spark has to read it to give DuckDB's numbers, in DuckDB's order."""
    import sqlglot
    from sqlglot import exp

    parts = _TEXT.split(sql)
    parts[1::2] = map(_backslashed, parts[1::2])
    tree = sqlglot.parse_one("".join(parts), dialect=dialects.SPARK)
    for call in list(tree.find_all(exp.Div, exp.Avg)):
        if not (isinstance(call.this, exp.Cast) and call.this.is_type("double")):
            call.set("this", exp.cast(call.this, "double"))
    for ordered in tree.find_all(exp.Ordered):
        if not isinstance(ordered.find_ancestor(exp.WithinGroup, exp.Select), exp.WithinGroup):
            ordered.set("nulls_first", value=False)
    return str(tree.sql(dialect=dialects.SPARK, pretty=True))


def _backslashed(text: str) -> str:
    """A text in quotes as Spark reads it: a backslash escapes, and a doubled quote does not."""
    inner = text[1:-1].replace("\\", "\\\\").replace("''", "\\'")
    return f"'{inner}'"


def _null_over_no_rows(sql: str, dialect: str) -> str:
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(sql, dialect=dialect)
    for count in list(tree.find_all(exp.Count)):
        select = count.parent_select
        if isinstance(count.this, exp.Distinct) and select and not select.args.get("group"):
            rows = exp.Count(this=exp.Star(), big_int=True)
            measured = exp.GT(this=rows, expression=exp.Literal.number(0))
            count.replace(exp.Case().when(measured, count.copy()))
    return str(tree.sql(dialect=dialect, pretty=True))
