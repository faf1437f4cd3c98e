"""A metric as one SQL expression over aggregates, or the reason why there is none.

A BI tool groups the rows it has as its user clicks, and computes a metric's expression again for
each group. That is right where the expression is made of aggregates of rows: `sum(a) / sum(b)`. It
is wrong for what looks at other periods, or pairs events with each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SUMS = ("sum", "count", "sum_boolean")
EXTREMES = ("min", "max")

_HOLISTIC = {
    "count_distinct": "it counts distinct things, and one of them may stand in two groups",
    "median": "it is a median",
    "percentile": "it is a percentile",
    "average": "it is an average, and how many rows stand behind it is not in it",
}


class UnsayableError(Exception):
    """A metric has no such expression; the text is the reason, to go after "because"."""


def said(
    metrics: Mapping[str, dict[str, Any]],
    name: str,
    leaf: Callable[[dict[str, Any], tuple[dict[str, Any], ...]], exp.Expression],
    filters: tuple[dict[str, Any], ...] = (),
) -> exp.Expression:
    """The expression of a metric.

    Args:
        metrics: every metric of the semantic manifest, by name.
        name: the metric.
        leaf: gives the aggregate of a simple metric, with the filters that stand above it.
        filters: filters of the metrics that read this one.

    Raises:
        UnsayableError: it has none, or `leaf` finds that a part has none.
    """
    metric = metrics[name]
    kind, given = metric["type"], metric["type_params"]
    filters = (*filters, *_filters(metric["filter"]))
    if kind == "simple":
        return leaf(metric, filters)
    if kind == "cumulative":
        raise UnsayableError("it adds up earlier periods")
    if kind == "conversion":
        raise UnsayableError("it pairs events of two tables in time")

    def part(read: dict[str, Any]) -> exp.Expression:
        if read["offset_window"] or read["offset_to_grain"]:
            raise UnsayableError("it reads another period")
        return said(metrics, read["name"], leaf, (*filters, *_filters(read["filter"])))

    if kind == "ratio":
        above, below = (part(given[side]) for side in ("numerator", "denominator"))
        none = exp.Nullif(this=below, expression=exp.Literal.number(0))
        return exp.Div(this=exp.cast(above, "double"), expression=exp.cast(none, "double"))
    inputs = {read["alias"] or read["name"]: part(read) for read in given["metrics"]}

    def put(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, exp.Column) or node.name not in inputs:
            return node
        found = inputs[node.name].copy()
        return found if isinstance(found, exp.Func) else exp.paren(found, copy=False)

    return sqlglot.parse_one(given["expr"], dialect="duckdb").transform(put).unnest()


def leaves(metrics: Mapping[str, dict[str, Any]], name: str) -> list[str]:
    """The simple metrics that an expression of the metric aggregates, in its order.

    Raises:
        UnsayableError: the metric has no such expression, or a part of it may not be aggregated
            again from groups.
    """
    found: list[str] = []

    def leaf(metric: dict[str, Any], filters: tuple[dict[str, Any], ...]) -> exp.Expression:
        if len(filters) > len(_filters(metric["filter"])):
            raise UnsayableError(f"it filters {metric['name']} once more")
        refuse_unless_additive(metric)
        found.append(metric["name"])
        return exp.column(metric["name"])

    said(metrics, name, leaf)
    return list(dict.fromkeys(found))


def refuse_unless_additive(metric: dict[str, Any]) -> None:
    """Let a simple metric pass whose groups can be put together again.

    Raises:
        UnsayableError: they cannot.
    """
    given = metric["type_params"]
    aggregation = given["metric_aggregation_params"]
    if aggregation["agg"] not in (*SUMS, *EXTREMES):
        raise UnsayableError(_HOLISTIC.get(aggregation["agg"], f"it is a {aggregation['agg']}"))
    if aggregation["non_additive_dimension"]:
        raise UnsayableError("it is a stock, which may not be added up over time")
    if given["fill_nulls_with"] is not None or given["join_to_timespine"]:
        raise UnsayableError("it has a value where there are no rows")


def _filters(given: dict[str, Any] | None) -> tuple[dict[str, Any], ...]:
    return tuple((given or {}).get("where_filters") or ())
