"""Measures: each metric of the semantic manifest as the DAX that gives the same number."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from cadran.errors import ProjectError, QueryError
from cadran.exports.powerbi import model as words
from cadran.exports.powerbi.dates import BLANK, COLUMNS, DAY, IS_COVERED, TABLE
from cadran.exports.powerbi.dates import COVERED as COVERED_COLUMN
from cadran.exports.powerbi.dax import Translator, Value, conditions
from cadran.exports.powerbi.model import (
    Measure,
    NotInDaxError,
    measure_reference,
    reference,
)
from cadran.exports.powerbi.star import KEYS, expression

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.core.layer import Layer
    from cadran.exports.powerbi.star import Star


_NUMBERS = ("int64", "decimal", "double")
_WHOLE_ROWS = (exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Paren, exp.Neg, exp.If)
_KEEPS = (*_WHOLE_ROWS, exp.Add, exp.Sub, exp.Mul, exp.Case, exp.Coalesce, exp.EQ, exp.And, exp.Or)


def aggregate_value(star: Star, metric: dict[str, Any]) -> Value:
    """The aggregation of a simple metric in DAX, without its filter.

    Raises:
        NotInDaxError: DAX has no aggregation that treats NULL and order in the same way.
    """
    params = metric["type_params"]
    aggregation = params["metric_aggregation_params"]
    model, agg, name = aggregation["semantic_model"], aggregation["agg"], metric["name"]
    sql = str(params["expr"] or name)
    table = star.fact(model)
    quoted = reference(table, "").removesuffix("[]")
    if agg == "count" and _is_key(star, model, sql):
        star.read_row_by_row(model)
        value = Value(f"COUNTROWS({quoted})", "int64")
    elif agg in {"sum", "count", "sum_boolean"}:
        value = _sum(star, model, _summed(agg, sql), name)
    elif agg == "count_distinct":
        ref = reference(table, star.column(model, sql, name).name)
        # Rows whose value is NULL alone count as 0, no rows as nothing.
        text = f"IF(NOT(ISEMPTY({quoted})), DISTINCTCOUNTNOBLANK({ref}) + 0)"
        value = Value(text, "int64")
    elif agg in {"min", "max"}:
        column = star.column(model, sql, name)
        if column.kind not in _NUMBERS:
            raise NotInDaxError(f"the {agg} of {sql} is no number")
        value = Value(f"{agg.upper()}({reference(table, column.name)})", column.kind)
    elif agg == "average":
        star.read_row_by_row(model)
        # A floating column, since the average of a fixed decimal is cut at four places.
        ref = reference(table, star.column(model, sql, name, kind="double").name)
        value = Value(f"AVERAGE({ref})", "double")
    elif agg in {"median", "percentile"}:
        value = _percentile(star, model, sql, metric)
    else:
        raise NotInDaxError(f"the aggregation {agg} is not known")
    if aggregation["non_additive_dimension"]:
        return _at_an_end(star, metric, value)
    return value


def _summed(agg: str, sql: str) -> str:
    if agg == "count":
        return f"case when {sql} is not null then 1 else 0 end"
    return f"case when {sql} then 1 else 0 end" if agg == "sum_boolean" else sql


def _sum(star: Star, model: str, sql: str, name: str) -> Value:
    column = star.column(model, sql, name, is_summed=True)
    if column.kind not in _NUMBERS:
        raise NotInDaxError(f"{sql} is no number")
    return Value(f"SUM({reference(star.fact(model), column.name)})", column.kind)


def _percentile(star: Star, model: str, sql: str, metric: dict[str, Any]) -> Value:
    aggregation = metric["type_params"]["metric_aggregation_params"]
    params = aggregation["agg_params"] or {}
    if params.get("use_discrete_percentile") or params.get("use_approximate_percentile"):
        raise NotInDaxError("DAX interpolates percentiles; this one is discrete or approximate")
    share = 0.5 if aggregation["agg"] == "median" else float(params["percentile"])
    table = star.fact(model)
    if star.kind(model, sql) not in {"int64", "double"}:
        # Between two decimals the warehouse may round to their places, and DAX does not.
        raise NotInDaxError(f"{sql} is no whole or floating number")
    star.read_row_by_row(model)
    ref = reference(table, star.column(model, sql, metric["name"], kind="double").name)
    rows = f"FILTER({reference(table, '').removesuffix('[]')}, NOT(ISBLANK({ref})))"
    return Value(f"PERCENTILEX.INC({rows}, {ref}, {share!r})", "double")


def _at_an_end(star: Star, metric: dict[str, Any], value: Value) -> Value:
    """The value of the first or last day with rows, whatever the rows are looked at by."""
    aggregation = metric["type_params"]["metric_aggregation_params"]
    model, moment = aggregation["semantic_model"], aggregation["non_additive_dimension"]
    defaults = star.fields.models[model].get("defaults") or {}
    time = aggregation["agg_time_dimension"] or defaults.get("agg_time_dimension")
    if moment["window_groupings"] or moment["name"] != time:
        raise NotInDaxError("it takes an end of time of its own for each group")
    day, is_active = star.day(model, moment["name"])
    if not is_active:
        raise NotInDaxError("it is dated by another time than the mart's own")
    end = "MIN" if moment["window_choice"] == "min" else "MAX"
    freed = "".join(f", REMOVEFILTERS({scope})" for scope in star.seen_by(model))
    edge = f"CALCULATE({end}({day}){freed})" if freed else f"{end}({day})"
    text = f"VAR _end = {edge}\nRETURN\n\tCALCULATE({value.text}, KEEPFILTERS({day} == _end))"
    return Value(text, value.kind)


def _is_key(star: Star, model: str, sql: str) -> bool:
    entities = star.fields.models[model]["entities"]
    return any(e["type"] in KEYS and expression(e) == sql for e in entities)


def not_null_columns(layer: Layer) -> set[tuple[str, str]]:
    """Relations and columns that dbt tests to be never NULL, in lower case."""
    try:
        nodes = layer.project.dbt_manifest["nodes"]
    except ProjectError:
        return set()
    columns = set()
    for node in nodes.values():
        tested = (node.get("test_metadata") or {}).get("name")
        settings = node.get("config") or {}
        of = nodes.get(node.get("attached_node") or "") or {}
        is_sure = str(settings.get("severity", "error")).lower() == "error"
        if tested == "not_null" and is_sure and not settings.get("where") and node["column_name"]:
            columns.add((str(of.get("relation_name")), node["column_name"].lower()))
    return columns


def is_never_null(
    metric: dict[str, Any], relation: str, not_null: set[tuple[str, str]], dialect: str
) -> bool:
    """Whether the metric has a value wherever its mart has a row.

    Args:
        metric: a simple metric.
        relation: the relation that its rows come from.
        not_null: relations and columns that are never NULL.
        dialect: that of the metric's expression.
    """
    aggregation = metric["type_params"]["metric_aggregation_params"]
    if aggregation["agg"] in {"count", "sum_boolean", "count_distinct"}:
        return True
    if aggregation["agg"] != "sum":
        return False
    sql = str(metric["type_params"]["expr"] or metric["name"])
    try:
        tree = parse_one(sql, read=dialect)
    except SqlglotError:
        return False
    if any(not isinstance(node, _KEEPS) for node in tree.walk()):
        return False
    if any(case.args.get("default") is None for case in tree.find_all(exp.Case)):
        return False
    return all((relation, c.name.lower()) in not_null for c in tree.find_all(exp.Column))


ALL = frozenset(COLUMNS)
_TO_DATE = {
    "month": ("DATESMTD", frozenset({"day", "month"})),
    "quarter": ("DATESQTD", frozenset({"day", "month", "quarter"})),
    "year": ("DATESYTD", frozenset({"day", "month", "quarter", "year"})),
}
_IN_DAYS = {"day": 1, "week": 7}
COVERED = f"KEEPFILTERS({reference(TABLE, COVERED_COLUMN)} == 1)"


@dataclass(frozen=True, slots=True)
class DaxExpression:
    """How a metric is said in DAX.

    `facts` are the semantic models that it reads, `grains` those at which the DAX is exact. Metrics
    of the same `presence` have a value in the same groups of rows; None where that is not known.
    `is_daily` says that its marts are dated by days, as the date table and its time spine are.
    """

    value: Value
    facts: frozenset[str]
    grains: frozenset[str] = ALL
    presence: tuple[str, ...] | None = None
    day: str | None = None
    is_daily: bool = True


class Measures:
    """Says metrics in DAX, each once, with the measures that it is made of."""

    def __init__(self, layer: Layer, star: Star, taken: Iterable[str] = ()) -> None:
        """Take what to read the definitions from, and the names that are given to KPIs."""
        self.by_key: dict[str, Measure] = {}
        self.expressions: dict[str, DaxExpression] = {}
        self._layer = layer
        self._star = star
        self._names: dict[str, str] = {}
        self._taken = {name.casefold() for name in taken}
        self._not_null = not_null_columns(layer)

    def of(self, metric: str) -> DaxExpression:
        """The metric as a measure of its own, said by reference.

        Raises:
            NotInDaxError: DAX cannot say it, or something that it is made of.
        """
        if metric not in self.expressions:
            definition = self._layer.metric(metric)
            expression = self.body(definition)
            label = definition.get("label") or metric
            name = self._name(metric, words.in_words(metric) if label == metric else label)
            self.by_key[metric] = Measure(
                name, metric, expression.value.text, None,
                description=" ".join((definition["description"] or "").split()), is_hidden=True,
            )  # fmt: skip
            self.expressions[metric] = _named(expression, name)
        return self.expressions[metric]

    def _name(self, metric: str, title: str) -> str:
        if metric not in self._names:
            self._names[metric] = words.unique(title, self._taken, metric)
        return self._names[metric]

    def body(self, metric: dict[str, Any]) -> DaxExpression:
        """The metric said by what it is made of.

        Raises:
            NotInDaxError: DAX cannot say it, or something that it is made of.
        """
        kind, params = metric["type"], metric["type_params"]
        if kind == "simple":
            return self._simple(metric)
        if kind == "ratio":
            above, below = self._input(params["numerator"]), self._input(params["denominator"])
            text = f"DIVIDE({above.value.wide}, {below.value.text})"
            expression = DaxExpression(
                Value(text, "double"),
                above.facts | below.facts,
                above.grains & below.grains,
                is_daily=above.is_daily and below.is_daily,
            )
        elif kind == "derived":
            expression = self._derived(metric)
        elif kind == "cumulative":
            expression = self._cumulative(params["cumulative_type_params"])
        else:
            raise NotInDaxError(
                "a conversion counts the events of one mart that another's follow in time"
                if kind == "conversion"
                else f"a metric of type {kind} is not known"
            )
        return self._filtered(expression, metric["filter"])

    def _simple(self, metric: dict[str, Any]) -> DaxExpression:
        params = metric["type_params"]
        aggregation = params.get("metric_aggregation_params")
        if aggregation is None:
            raise NotInDaxError("it is built on a measure of an older specification")
        if params["join_to_timespine"] or params["fill_nulls_with"] is not None:
            raise NotInDaxError("it fills periods without rows")
        model = aggregation["semantic_model"]
        value = aggregate_value(self._star, metric)
        time = _time_of(aggregation, self._star, model)
        day, is_active = self._star.day(model, time)
        modifiers = [] if is_active else [f"USERELATIONSHIP({day}, {DAY})"]
        if metric["filter"] and aggregation["non_additive_dimension"]:
            raise NotInDaxError("it is filtered and not additive over time")
        expression = DaxExpression(
            value,
            frozenset({model}),
            presence=(model, day, str(metric["filter"]))
            if is_never_null(metric, self._relation(model), self._not_null, self._star.dialect)
            else None,
            day=day if is_active and not metric["filter"] else None,
            is_daily=self._star.fields.is_daily(model, time),
        )
        return self._filtered(expression, metric["filter"], *modifiers)

    def _relation(self, model: str) -> str:
        relation = self._star.fields.models[model]["node_relation"]["relation_name"]
        return str(relation)

    def _derived(self, metric: dict[str, Any]) -> DaxExpression:
        params = metric["type_params"]
        inputs = {term["alias"] or term["name"]: self._input(term) for term in params["metrics"]}
        terms = list(inputs.values())
        presences = {term.presence for term in terms}
        together = len(terms) == 1 or (len(presences) == 1 and None not in presences)
        lines = []
        names = {}
        for alias, term in inputs.items():
            names[alias] = replace(term.value, may_be_blank=not together)
            if len(terms) > 1:
                lines.append(f"VAR _{alias} = {term.value.text}")
                names[alias] = replace(names[alias], text=f"_{alias}")
        translator = Translator(names, self._star.dialect)
        value = translator.value(params["expr"])
        lines += [f"VAR {name} = {text}" for text, name in translator.variables.items()]
        if not value.is_strict:
            # Where no input has a row the layer has none either, whatever the expression says.
            operand_values = list(names.values())[: 1 if together else None]
            missing = " && ".join(f"ISBLANK({term.text})" for term in operand_values)
            body = value.text.replace("\n", "\n\t")
            value = replace(value, text=f"IF(\n\t{missing},\n\t{BLANK},\n\t{body}\n)")
        if lines:
            body = value.text.replace("\n", "\n\t")
            value = replace(value, text="\n".join([*lines, f"RETURN\n\t{body}"]))
        value = Value(value.text, value.kind)
        facts = frozenset[str]().union(*(term.facts for term in terms))
        grains = ALL.intersection(*(term.grains for term in terms))
        presence = terms[0].presence if value.text == terms[0].value.text else None
        is_daily = all(term.is_daily for term in terms)
        return DaxExpression(value, facts, grains, presence, is_daily=is_daily)

    def _input(self, ref: dict[str, Any]) -> DaxExpression:
        """A metric as another one takes it: filtered, or from the year before."""
        expression = self._filtered(self.of(ref["name"]), ref["filter"])
        if ref["offset_to_grain"]:
            raise NotInDaxError(f"{ref['name']} is taken from the start of a period")
        offset = ref["offset_window"]
        if not offset:
            return expression
        if offset["granularity"] != "year" or expression.grains != ALL:
            raise NotInDaxError(
                f"{ref['name']} is taken from {offset['count']} {offset['granularity']} before;"
                " only years before are exact at every grain"
            )
        if not expression.is_daily:
            raise NotInDaxError(f"{ref['name']} is dated by less than a day")
        shifted = (
            f"SAMEPERIODLASTYEAR({DAY})"
            if offset["count"] == 1
            else f"DATEADD({DAY}, -{offset['count']}, YEAR)"
        )
        text = f"IF({IS_COVERED}, CALCULATE({expression.value.text}, {shifted}))"
        years = "year" if offset["count"] == 1 else f"{offset['count']} years"
        key = f"{ref['name']}__{offset['count']}_years_before"
        if ref["filter"]:
            key += f"__{ref['alias'] or 'filtered'}"
        name = self._name(key, f"{self._name(ref['name'], '')}, {years} before")
        self.by_key[key] = Measure(name, key, text, None, is_hidden=True)
        body = DaxExpression(
            replace(expression.value, text=text), expression.facts, ALL - {"week"}, is_daily=True
        )
        return _named(body, name)

    def _filtered(
        self, expression: DaxExpression, filters: dict[str, Any] | None, *modifiers: str
    ) -> DaxExpression:
        texts = [
            condition["where_sql_template"]
            for condition in (filters or {}).get("where_filters", ())
        ]
        try:
            filter_terms = [
                c for text in texts for c in conditions(self._star, expression.facts, text)
            ]
        except QueryError as error:
            raise NotInDaxError(str(error)) from error
        arguments = [*modifiers, *(f"KEEPFILTERS({condition})" for condition in filter_terms)]
        if not arguments:
            return expression
        text = f"CALCULATE({', '.join([expression.value.text, *arguments])})"
        if "\n" in expression.value.text:
            inner = expression.value.text.replace("\n", "\n\t")
            text = "CALCULATE(\n\t" + ",\n\t".join([inner, *arguments]) + "\n)"
        presence = expression.presence and (*expression.presence, *arguments)
        return replace(expression, value=replace(expression.value, text=text), presence=presence)

    def _cumulative(self, params: dict[str, Any]) -> DaxExpression:
        # A period of several days shows its first, last or mean day: only the last is said below.
        exact = ALL if params["period_agg"] == "last" else frozenset({"day"})
        ref = params["metric"]
        base = self.of(ref["name"])
        definition = self._layer.metric(ref["name"])
        aggregation = definition["type_params"].get("metric_aggregation_params") or {}
        if ref["filter"] or aggregation.get("non_additive_dimension") or base.grains != ALL:
            raise NotInDaxError("what it adds up is filtered or not additive over time")
        if not base.is_daily:
            raise NotInDaxError("it adds up along times that are finer than a day")
        grain, window = params["grain_to_date"], params["window"]
        if grain:
            if grain not in _TO_DATE:
                raise NotInDaxError(f"DAX has no {grain} to date")
            function, grains = _TO_DATE[grain]
            text = f"IF({IS_COVERED}, CALCULATE({base.value.text}, {function}({DAY})))"
            return DaxExpression(replace(base.value, text=text), base.facts, grains & exact)
        last = f"VAR _last = CALCULATE(MAX({DAY}), {COVERED})"
        if not window:
            text = (
                f"{last}\nRETURN\n\tIF(\n\t\tNOT(ISBLANK(_last)),\n\t\tCALCULATE({base.value.text},"
                f" REMOVEFILTERS('{TABLE}'), {DAY} <= _last)\n\t)"
            )
            return DaxExpression(replace(base.value, text=text), base.facts, exact)
        return replace(self._windowed(base, window, last), grains=exact)

    @staticmethod
    def _windowed(base: DaxExpression, window: dict[str, Any], last: str) -> DaxExpression:
        """The sum of the days up to the last one of the period on which there is any to sum."""
        if window["granularity"] not in _IN_DAYS or base.day is None:
            raise NotInDaxError(
                f"a window of {window['count']} {window['granularity']} over"
                " these rows cannot be counted in days"
            )
        days = int(window["count"]) * _IN_DAYS[window["granularity"]]
        text = (
            f"{last}\n"
            f"VAR _latest = CALCULATE(MAX({base.day}), REMOVEFILTERS('{TABLE}'), {DAY} <= _last)\n"
            f"VAR _day = MIN(_last, _latest + {days - 1})\n"
            "RETURN\n\tIF(\n"
            f"\t\tNOT(ISBLANK(_latest)) && _day >= MIN({DAY}),\n"
            f"\t\tCALCULATE({base.value.text}, REMOVEFILTERS('{TABLE}'),"
            f" {DAY} > _day - {days} && {DAY} <= _day)\n\t)"
        )
        return DaxExpression(replace(base.value, text=text), base.facts)


def _named(expression: DaxExpression, name: str) -> DaxExpression:
    return replace(expression, value=Value(measure_reference(name), expression.value.kind))


def _time_of(aggregation: dict[str, Any], star: Star, model: str) -> str:
    defaults = star.fields.models[model].get("defaults") or {}
    time = aggregation["agg_time_dimension"] or defaults.get("agg_time_dimension")
    if not time:
        raise NotInDaxError(f"{model} has no time")
    return str(time)
