"""A metric as one SQL expression over aggregates, or the reason why there is none.

A BI tool groups the rows it has as its user clicks, and computes a metric's expression again for
each group. That is right where the expression is made of aggregates of rows: `sum(a) / sum(b)`. It
is wrong for what looks at other periods, or pairs events with each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp

from cadran.core.semantics.metrics import SUMMING, fills_gaps, filters_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.core.semantics.metrics import Input, MetricGraph

EXTREMES = ("min", "max")

_HOLISTIC = {
    "count_distinct": "it counts distinct things, and one of them may stand in two groups",
    "median": "it is a median",
    "percentile": "it is a percentile",
    "average": "it is an average, and how many rows stand behind it is not in it",
}


class NotExpressibleError(Exception):
    """A metric has no such expression; the text is the reason, to go after "because"."""


def metric_expression(
    graph: MetricGraph,
    name: str,
    leaf: Callable[[dict[str, Any], tuple[dict[str, Any], ...]], exp.Expression],
    filters: tuple[dict[str, Any], ...] = (),
) -> exp.Expression:
    """The expression of a metric.

    Args:
        graph: what metrics are made of.
        name: the metric.
        leaf: gives the aggregate of a simple metric, with the filters that stand above it.
        filters: filters of the metrics that read this one.

    Raises:
        NotExpressibleError: it has none, or `leaf` finds that a part has none.
    """
    metric = graph.metrics[name]
    kind = metric["type"]
    filters = (*filters, *filters_of(metric))
    if kind == "simple":
        return leaf(metric, filters)
    if kind == "cumulative":
        raise NotExpressibleError("it adds up earlier periods")
    if kind == "conversion":
        raise NotExpressibleError("it pairs events of two tables in time")

    def part(read: Input) -> exp.Expression:
        if read.is_shifted:
            raise NotExpressibleError("it reads another period")
        return metric_expression(graph, read.name, leaf, (*filters, *read.filters))

    if kind == "ratio":
        above, below = map(part, graph.inputs(name))
        none = exp.Nullif(this=below, expression=exp.Literal.number(0))
        return exp.Div(this=exp.cast(above, "double"), expression=exp.cast(none, "double"))
    inputs = {read.alias: part(read) for read in graph.inputs(name)}

    def put(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, exp.Column) or node.name not in inputs:
            return node
        operand = inputs[node.name].copy()
        return operand if isinstance(operand, exp.Func) else exp.paren(operand, copy=False)

    expression = metric["type_params"]["expr"]
    return sqlglot.parse_one(expression, dialect=graph.dialect).transform(put).unnest()


def summable(graph: MetricGraph, name: str) -> list[str]:
    """The simple metrics that an expression of the metric aggregates, in its order.

    Raises:
        NotExpressibleError: the metric has no such expression, or a part of it may not be
            aggregated again from groups.
    """
    metrics: list[str] = []

    def leaf(metric: dict[str, Any], filters: tuple[dict[str, Any], ...]) -> exp.Expression:
        if len(filters) > len(filters_of(metric)):
            raise NotExpressibleError(f"it filters {metric['name']} once more")
        refuse_unless_additive(metric)
        metrics.append(metric["name"])
        return exp.column(metric["name"])

    metric_expression(graph, name, leaf)
    return list(dict.fromkeys(metrics))


def refuse_unless_additive(metric: dict[str, Any]) -> None:
    """Let a simple metric pass whose groups can be put together again.

    Raises:
        NotExpressibleError: they cannot.
    """
    aggregation = metric["type_params"]["metric_aggregation_params"]
    if aggregation["agg"] not in (*SUMMING, *EXTREMES):
        raise NotExpressibleError(
            _HOLISTIC.get(aggregation["agg"], f"it is a {aggregation['agg']}")
        )
    if aggregation["non_additive_dimension"]:
        raise NotExpressibleError("it is a stock, which may not be added up over time")
    if fills_gaps(metric):
        raise NotExpressibleError("it has a value where there are no rows")
