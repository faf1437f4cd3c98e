"""Aggregations of one mart: what MetricFlow computes row by row stays in the warehouse's columns.

The expression of a simple metric is computed by the warehouse into a column of the file, so DAX
only aggregates a column, and no SQL over rows is said a second time in another language.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from cadran.errors import ProjectError
from cadran.exports.powerbi.fields import KEYS, expression
from cadran.exports.powerbi.model import NotSayableError, reference
from cadran.exports.powerbi.values import Value

if TYPE_CHECKING:
    from cadran.exports.powerbi.star import Star
    from cadran.layer import Layer

_NUMBERS = ("int64", "decimal", "double")
_WHOLE_ROWS = (exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Paren, exp.Neg, exp.If)
_KEEPS = (*_WHOLE_ROWS, exp.Add, exp.Sub, exp.Mul, exp.Case, exp.Coalesce, exp.EQ, exp.And, exp.Or)


def value(star: Star, metric: dict[str, Any]) -> Value:
    """The aggregation of a simple metric in DAX, without its filter.

    Raises:
        NotSayableError: DAX has no aggregation that treats NULL and order in the same way.
    """
    given = metric["type_params"]
    asked = given["metric_aggregation_params"]
    model, agg, name = asked["semantic_model"], asked["agg"], metric["name"]
    sql = str(given["expr"] or name)
    table = star.fact(model)
    quoted = reference(table, "").removesuffix("[]")
    if agg == "count" and _is_key(star, model, sql):
        found = Value(f"COUNTROWS({quoted})", "int64")
    elif agg in {"sum", "count", "sum_boolean"}:
        found = _sum(star, model, _summed(agg, sql), name)
    elif agg == "count_distinct":
        ref = reference(table, star.column(model, sql, name).name)
        # Rows whose value is NULL alone count as 0, no rows as nothing.
        text = f"IF(NOT(ISEMPTY({quoted})), DISTINCTCOUNTNOBLANK({ref}) + 0)"
        found = Value(text, "int64")
    elif agg in {"min", "max"}:
        column = star.column(model, sql, name)
        if column.kind not in _NUMBERS:
            raise NotSayableError(f"the {agg} of {sql} is no number")
        found = Value(f"{agg.upper()}({reference(table, column.name)})", column.kind)
    elif agg == "average":
        # A floating column, since the average of a fixed decimal is cut at four places.
        ref = reference(table, star.column(model, sql, name, kind="double").name)
        found = Value(f"AVERAGE({ref})", "double")
    elif agg in {"median", "percentile"}:
        found = _percentile(star, model, sql, metric)
    else:
        raise NotSayableError(f"the aggregation {agg} is not known")
    if asked["non_additive_dimension"]:
        return _at_an_end(star, metric, found)
    return found


def _summed(agg: str, sql: str) -> str:
    if agg == "count":
        return f"case when {sql} is not null then 1 else 0 end"
    return f"case when {sql} then 1 else 0 end" if agg == "sum_boolean" else sql


def _sum(star: Star, model: str, sql: str, name: str) -> Value:
    column = star.column(model, sql, name)
    if column.kind not in _NUMBERS:
        raise NotSayableError(f"{sql} is no number")
    return Value(f"SUM({reference(star.fact(model), column.name)})", column.kind)


def _percentile(star: Star, model: str, sql: str, metric: dict[str, Any]) -> Value:
    asked = metric["type_params"]["metric_aggregation_params"]
    given = asked["agg_params"] or {}
    if given.get("use_discrete_percentile") or given.get("use_approximate_percentile"):
        raise NotSayableError("DAX interpolates percentiles; this one is discrete or approximate")
    share = 0.5 if asked["agg"] == "median" else float(given["percentile"])
    table = star.fact(model)
    if star.kind(model, sql) not in {"int64", "double"}:
        # Between two decimals the warehouse may round to their places, and DAX does not.
        raise NotSayableError(f"{sql} is no whole or floating number")
    ref = reference(table, star.column(model, sql, metric["name"], kind="double").name)
    rows = f"FILTER({reference(table, '').removesuffix('[]')}, NOT(ISBLANK({ref})))"
    return Value(f"PERCENTILEX.INC({rows}, {ref}, {share!r})", "double")


def _at_an_end(star: Star, metric: dict[str, Any], found: Value) -> Value:
    """The value of the first or last day with rows, whatever the rows are looked at by."""
    asked = metric["type_params"]["metric_aggregation_params"]
    model, given = asked["semantic_model"], asked["non_additive_dimension"]
    defaults = star.fields.models[model].get("defaults") or {}
    time = asked["agg_time_dimension"] or defaults.get("agg_time_dimension")
    if given["window_groupings"] or given["name"] != time:
        raise NotSayableError("it takes an end of time of its own for each group")
    day, is_active = star.day(model, given["name"])
    if not is_active:
        raise NotSayableError("it is dated by another time than the mart's own")
    end = "MIN" if given["window_choice"] == "min" else "MAX"
    freed = "".join(f", REMOVEFILTERS({one})" for one in star.seen_by(model))
    edge = f"CALCULATE({end}({day}){freed})" if freed else f"{end}({day})"
    text = f"VAR _end = {edge}\nRETURN\n\tCALCULATE({found.text}, KEEPFILTERS({day} == _end))"
    return Value(text, found.kind)


def _is_key(star: Star, model: str, sql: str) -> bool:
    entities = star.fields.models[model]["entities"]
    return any(e["type"] in KEYS and expression(e) == sql for e in entities)


def not_null_columns(layer: Layer) -> set[tuple[str, str]]:
    """Relations and columns that dbt tests to be never NULL, in lower case."""
    try:
        nodes = layer.project.dbt_manifest["nodes"]
    except ProjectError:
        return set()
    found = set()
    for node in nodes.values():
        tested = (node.get("test_metadata") or {}).get("name")
        settings = node.get("config") or {}
        of = nodes.get(node.get("attached_node") or "") or {}
        is_sure = str(settings.get("severity", "error")).lower() == "error"
        if tested == "not_null" and is_sure and not settings.get("where") and node["column_name"]:
            found.add((str(of.get("relation_name")), node["column_name"].lower()))
    return found


def is_never_null(metric: dict[str, Any], relation: str, known: set[tuple[str, str]]) -> bool:
    """Whether the metric has a value wherever its mart has a row.

    Args:
        metric: a simple metric.
        relation: the relation that its rows come from.
        known: relations and columns that are never NULL.
    """
    asked = metric["type_params"]["metric_aggregation_params"]
    if asked["agg"] in {"count", "sum_boolean", "count_distinct"}:
        return True
    if asked["agg"] != "sum":
        return False
    sql = str(metric["type_params"]["expr"] or metric["name"])
    try:
        tree = parse_one(sql, read="duckdb")
    except SqlglotError:
        return False
    if any(not isinstance(node, _KEEPS) for node in tree.walk()):
        return False
    if any(case.args.get("default") is None for case in tree.find_all(exp.Case)):
        return False
    return all((relation, c.name.lower()) in known for c in tree.find_all(exp.Column))
