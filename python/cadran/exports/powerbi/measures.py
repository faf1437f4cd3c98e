"""Measures: each metric of the semantic manifest as the DAX that gives the same number."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from cadran.errors import ProjectError, QueryError
from cadran.exports.powerbi import model as words
from cadran.exports.powerbi.dax import BLANK, Translator, Value, conditions
from cadran.exports.powerbi.model import (
    Measure,
    NotSayableError,
    measure_reference,
    reference,
)
from cadran.exports.powerbi.star import COLUMNS, DAY, IS_COVERED, KEYS, TABLE, expression
from cadran.exports.powerbi.star import COVERED as COVERED_COLUMN

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


def is_never_null(
    metric: dict[str, Any], relation: str, known: set[tuple[str, str]], dialect: str
) -> bool:
    """Whether the metric has a value wherever its mart has a row.

    Args:
        metric: a simple metric.
        relation: the relation that its rows come from.
        known: relations and columns that are never NULL.
        dialect: that of the metric's expression.
    """
    asked = metric["type_params"]["metric_aggregation_params"]
    if asked["agg"] in {"count", "sum_boolean", "count_distinct"}:
        return True
    if asked["agg"] != "sum":
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
    return all((relation, c.name.lower()) in known for c in tree.find_all(exp.Column))


ALL = frozenset(COLUMNS)
_TO_DATE = {
    "month": ("DATESMTD", frozenset({"day", "month"})),
    "quarter": ("DATESQTD", frozenset({"day", "month", "quarter"})),
    "year": ("DATESYTD", frozenset({"day", "month", "quarter", "year"})),
}
_IN_DAYS = {"day": 1, "week": 7}
COVERED = f"KEEPFILTERS({reference(TABLE, COVERED_COLUMN)} == 1)"


@dataclass(frozen=True, slots=True)
class Said:
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
        self.made: dict[str, Measure] = {}
        self.said: dict[str, Said] = {}
        self._layer = layer
        self._star = star
        self._names: dict[str, str] = {}
        self._taken = {name.casefold() for name in taken}
        self._not_null = not_null_columns(layer)

    def of(self, metric: str) -> Said:
        """The metric as a measure of its own, said by reference.

        Raises:
            NotSayableError: DAX cannot say it, or something that it is made of.
        """
        if metric not in self.said:
            definition = self._layer.metric(metric)
            said = self.body(definition)
            label = definition.get("label") or metric
            name = self._name(metric, words.in_words(metric) if label == metric else label)
            self.made[metric] = Measure(
                name, metric, said.value.text, None,
                description=" ".join((definition["description"] or "").split()), is_hidden=True,
            )  # fmt: skip
            self.said[metric] = _named(said, name)
        return self.said[metric]

    def _name(self, metric: str, wanted: str) -> str:
        if metric not in self._names:
            self._names[metric] = words.unique(wanted, self._taken, metric)
        return self._names[metric]

    def body(self, metric: dict[str, Any]) -> Said:
        """The metric said by what it is made of.

        Raises:
            NotSayableError: DAX cannot say it, or something that it is made of.
        """
        kind, given = metric["type"], metric["type_params"]
        if kind == "simple":
            return self._simple(metric)
        if kind == "ratio":
            above, below = self._input(given["numerator"]), self._input(given["denominator"])
            text = f"DIVIDE({above.value.wide}, {below.value.text})"
            said = Said(
                Value(text, "double"),
                above.facts | below.facts,
                above.grains & below.grains,
                is_daily=above.is_daily and below.is_daily,
            )
        elif kind == "derived":
            said = self._derived(metric)
        elif kind == "cumulative":
            said = self._cumulative(given["cumulative_type_params"])
        else:
            raise NotSayableError(
                "a conversion counts the events of one mart that another's follow in time"
                if kind == "conversion"
                else f"a metric of type {kind} is not known"
            )
        return self._filtered(said, metric["filter"])

    def _simple(self, metric: dict[str, Any]) -> Said:
        given = metric["type_params"]
        asked = given.get("metric_aggregation_params")
        if asked is None:
            raise NotSayableError("it is built on a measure of an older specification")
        if given["join_to_timespine"] or given["fill_nulls_with"] is not None:
            raise NotSayableError("it fills periods without rows")
        model = asked["semantic_model"]
        value = aggregate_value(self._star, metric)
        time = _time_of(asked, self._star, model)
        day, is_active = self._star.day(model, time)
        modifiers = [] if is_active else [f"USERELATIONSHIP({day}, {DAY})"]
        if metric["filter"] and asked["non_additive_dimension"]:
            raise NotSayableError("it is filtered and not additive over time")
        said = Said(
            value,
            frozenset({model}),
            presence=(model, day, str(metric["filter"]))
            if is_never_null(metric, self._relation(model), self._not_null, self._star.dialect)
            else None,
            day=day if is_active and not metric["filter"] else None,
            is_daily=self._star.fields.is_daily(model, time),
        )
        return self._filtered(said, metric["filter"], *modifiers)

    def _relation(self, model: str) -> str:
        found = self._star.fields.models[model]["node_relation"]["relation_name"]
        return str(found)

    def _derived(self, metric: dict[str, Any]) -> Said:
        given = metric["type_params"]
        inputs = {one["alias"] or one["name"]: self._input(one) for one in given["metrics"]}
        found = list(inputs.values())
        presences = {one.presence for one in found}
        together = len(found) == 1 or (len(presences) == 1 and None not in presences)
        lines = []
        names = {}
        for alias, one in inputs.items():
            names[alias] = replace(one.value, may_be_blank=not together)
            if len(found) > 1:
                lines.append(f"VAR _{alias} = {one.value.text}")
                names[alias] = replace(names[alias], text=f"_{alias}")
        translator = Translator(names, self._star.dialect)
        value = translator.value(given["expr"])
        lines += [f"VAR {name} = {text}" for text, name in translator.variables.items()]
        if not value.is_strict:
            # Where no input has a row the layer has none either, whatever the expression says.
            known = list(names.values())[: 1 if together else None]
            missing = " && ".join(f"ISBLANK({one.text})" for one in known)
            body = value.text.replace("\n", "\n\t")
            value = replace(value, text=f"IF(\n\t{missing},\n\t{BLANK},\n\t{body}\n)")
        if lines:
            body = value.text.replace("\n", "\n\t")
            value = replace(value, text="\n".join([*lines, f"RETURN\n\t{body}"]))
        value = Value(value.text, value.kind)
        facts = frozenset[str]().union(*(one.facts for one in found))
        grains = ALL.intersection(*(one.grains for one in found))
        presence = found[0].presence if value.text == found[0].value.text else None
        is_daily = all(one.is_daily for one in found)
        return Said(value, facts, grains, presence, is_daily=is_daily)

    def _input(self, given: dict[str, Any]) -> Said:
        """A metric as another one takes it: filtered, or from the year before."""
        said = self._filtered(self.of(given["name"]), given["filter"])
        if given["offset_to_grain"]:
            raise NotSayableError(f"{given['name']} is taken from the start of a period")
        offset = given["offset_window"]
        if not offset:
            return said
        if offset["granularity"] != "year" or said.grains != ALL:
            raise NotSayableError(
                f"{given['name']} is taken from {offset['count']} {offset['granularity']} before;"
                " only years before are exact at every grain"
            )
        if not said.is_daily:
            raise NotSayableError(f"{given['name']} is dated by less than a day")
        shifted = (
            f"SAMEPERIODLASTYEAR({DAY})"
            if offset["count"] == 1
            else f"DATEADD({DAY}, -{offset['count']}, YEAR)"
        )
        text = f"IF({IS_COVERED}, CALCULATE({said.value.text}, {shifted}))"
        years = "year" if offset["count"] == 1 else f"{offset['count']} years"
        key = f"{given['name']}__{offset['count']}_years_before"
        if given["filter"]:
            key += f"__{given['alias'] or 'filtered'}"
        name = self._name(key, f"{self._name(given['name'], '')}, {years} before")
        self.made[key] = Measure(name, key, text, None, is_hidden=True)
        body = Said(replace(said.value, text=text), said.facts, ALL - {"week"}, is_daily=True)
        return _named(body, name)

    def _filtered(self, said: Said, filters: dict[str, Any] | None, *modifiers: str) -> Said:
        texts = [one["where_sql_template"] for one in (filters or {}).get("where_filters", ())]
        try:
            kept = [c for text in texts for c in conditions(self._star, said.facts, text)]
        except QueryError as error:
            raise NotSayableError(str(error)) from error
        arguments = [*modifiers, *(f"KEEPFILTERS({one})" for one in kept)]
        if not arguments:
            return said
        text = f"CALCULATE({', '.join([said.value.text, *arguments])})"
        if "\n" in said.value.text:
            inner = said.value.text.replace("\n", "\n\t")
            text = "CALCULATE(\n\t" + ",\n\t".join([inner, *arguments]) + "\n)"
        presence = said.presence and (*said.presence, *arguments)
        return replace(said, value=replace(said.value, text=text), presence=presence)

    def _cumulative(self, given: dict[str, Any]) -> Said:
        # A period of several days shows its first, last or mean day: only the last is said below.
        shown = ALL if given["period_agg"] == "last" else frozenset({"day"})
        taken = given["metric"]
        base = self.of(taken["name"])
        definition = self._layer.metric(taken["name"])
        asked = definition["type_params"].get("metric_aggregation_params") or {}
        if taken["filter"] or asked.get("non_additive_dimension") or base.grains != ALL:
            raise NotSayableError("what it adds up is filtered or not additive over time")
        if not base.is_daily:
            raise NotSayableError("it adds up along times that are finer than a day")
        grain, window = given["grain_to_date"], given["window"]
        if grain:
            if grain not in _TO_DATE:
                raise NotSayableError(f"DAX has no {grain} to date")
            function, grains = _TO_DATE[grain]
            text = f"IF({IS_COVERED}, CALCULATE({base.value.text}, {function}({DAY})))"
            return Said(replace(base.value, text=text), base.facts, grains & shown)
        last = f"VAR _last = CALCULATE(MAX({DAY}), {COVERED})"
        if not window:
            text = (
                f"{last}\nRETURN\n\tIF(\n\t\tNOT(ISBLANK(_last)),\n\t\tCALCULATE({base.value.text},"
                f" REMOVEFILTERS('{TABLE}'), {DAY} <= _last)\n\t)"
            )
            return Said(replace(base.value, text=text), base.facts, shown)
        return replace(self._windowed(base, window, last), grains=shown)

    @staticmethod
    def _windowed(base: Said, window: dict[str, Any], last: str) -> Said:
        """The sum of the days up to the last one of the period on which there is any to sum."""
        if window["granularity"] not in _IN_DAYS or base.day is None:
            raise NotSayableError(
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
        return Said(replace(base.value, text=text), base.facts)


def _named(said: Said, name: str) -> Said:
    return replace(said, value=Value(measure_reference(name), said.value.kind))


def _time_of(asked: dict[str, Any], star: Star, model: str) -> str:
    defaults = star.fields.models[model].get("defaults") or {}
    time = asked["agg_time_dimension"] or defaults.get("agg_time_dimension")
    if not time:
        raise NotSayableError(f"{model} has no time")
    return str(time)
