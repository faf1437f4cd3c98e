"""Measures: each metric of the semantic manifest as the DAX that gives the same number."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError
from cadran.exports.powerbi import aggregates, words
from cadran.exports.powerbi.conditions import conditions
from cadran.exports.powerbi.dates import COLUMNS, DAY, IS_COVERED, TABLE
from cadran.exports.powerbi.dates import COVERED as COVERED_COLUMN
from cadran.exports.powerbi.expressions import Translator
from cadran.exports.powerbi.model import (
    Measure,
    NotSayableError,
    measure_reference,
    reference,
)
from cadran.exports.powerbi.values import BLANK, Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.exports.powerbi.star import Star
    from cadran.layer import Layer

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
        self._not_null = aggregates.not_null_columns(layer)

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
        value = aggregates.value(self._star, metric)
        time = _time_of(asked, self._star, model)
        day, is_active = self._star.day(model, time)
        modifiers = [] if is_active else [f"USERELATIONSHIP({day}, {DAY})"]
        if metric["filter"] and asked["non_additive_dimension"]:
            raise NotSayableError("it is filtered and not additive over time")
        said = Said(
            value,
            frozenset({model}),
            presence=(model, day, str(metric["filter"]))
            if aggregates.is_never_null(metric, self._relation(model), self._not_null)
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
        translator = Translator(names)
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
