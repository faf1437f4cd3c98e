"""Which questions pre-aggregates answer exactly, and how such a question is asked of them.

A question is answered from a pre-aggregate as MetricFlow would answer it from the fact: by a second
semantic manifest, in which the metrics stand on the pre-aggregate. A sum of sums is the sum, and
likewise for least and greatest values, wherever each row of the fact counts in a group of its own
group's key. `Coverage` says when that holds, `Stand` asks.
"""

from __future__ import annotations

import copy
import datetime as dt
import re
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cadran.core.query.filters import Comparison, Condition, Joined, Not, read
from cadran.core.query.request import Field, GroupBy, Query
from cadran.core.semantics.governed import TIME
from cadran.core.semantics.metrics import fills_gaps, filters_of
from cadran.core.semantics.preaggregates import (
    COMPONENTS,
    PERIOD,
    WITHIN,
    Component,
    Fact,
    Preaggregate,
    aggregate,
    fact_of,
    own_filters,
    own_grain,
    project_of,
)
from cadran.formats import periods

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cadran.core.project.artifacts import Project
    from cadran.core.query.filters import Node
    from cadran.core.semantics.model import SemanticModel

_ENTITY = "preaggregate"
_KEY = re.compile(rf"\b{_ENTITY}__key_(\d+)\b")
_TEXT = re.compile(r"('(?:[^']|'')*')")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
# How a time may be compared: a text is not, for a day and an instant are not the same text.
_TIME_OPERATORS = {"=", "<>", "<", ">", "<=", ">=", "in", "between", "is"}


class Coverage:
    """Which questions pre-aggregates answer exactly."""

    def __init__(self, model: SemanticModel) -> None:
        """Take the definitions."""
        self._model = model
        self._graph = model.metric_graph

    def facts(self, query: Query) -> dict[Fact, list[str]]:
        """The facts that a question counts, each with the simple metrics that do."""
        facts: dict[Fact, list[str]] = {}
        for leaf in self._graph.leaves(*query.metrics):
            facts.setdefault(fact_of(self._model, leaf), []).append(leaf)
        return facts

    def refusal(self, query: Query) -> str:
        """Why no pre-aggregate whatever answers a question; empty where one might."""
        if not query.metrics:
            return "no metric is asked"
        if query.min_max_only:
            return "only the least and greatest value of a dimension are asked"
        metrics = map(self._metric_refusal, self._graph.closure(*query.metrics))
        filters = map(_shape_refusal, self._conditions(query))
        return next(filter(None, (*metrics, *filters)), "")

    def _metric_refusal(self, name: str) -> str:
        if self._model.metric(name)["type"] == "conversion":
            return f"{name} follows each entity from one event to another"
        aggregation = self._graph.aggregation(name)
        if aggregation and aggregation.get("agg") not in COMPONENTS:
            return f"{name} is of the kind {aggregation.get('agg')}, which does not add up"
        if (aggregation.get("non_additive_dimension") or {}).get("window_groupings"):
            return f"{name} takes the last rows of each entity"
        return ""

    def why_not(self, query: Query, leaves: Sequence[str], by: Preaggregate) -> str:
        """Why a pre-aggregate does not stand for its fact in a question; empty where it does.

        Args:
            query: the question as its cards let it stand; `refusal` finds nothing against it.
            leaves: the simple metrics of the question that count the fact.
            by: the pre-aggregate.
        """
        known = {(component.agg, component.expr) for component in by.components}
        for leaf in leaves:
            if aggregate(self._model, leaf) not in known:
                return f"it has no component of {leaf}"
        own = own_grain(self._model, by.fact)
        is_alike = own == by.grain == "day"  # the same days, fewer rows of each
        above = [
            name
            for name in self._graph.closure(*query.metrics)
            if not set(self._graph.leaves(name)).isdisjoint(leaves)
        ]
        if not is_alike:
            for name in above:
                is_own = not self._graph.reads_other_periods(name)
                if not is_own or fills_gaps(self._model.metric(name)):
                    return f"{name} reads other periods, which takes a fact and sums by day"
        groups = (self._group_refusal(group, by, own) for group in query.group_by)
        filters = (
            self._field_refusal(field, by, own)
            for condition in (*self._conditions(query), *own_filters(self._model, above))
            for field in condition.fields
        )
        for refusal in (*groups, *filters):
            if refusal:
                return refusal
        return "" if is_alike else self._range_refusal(query, by)

    def dimensions(self, query: Query) -> set[str]:
        """The names other than `metric_time` that a question is grouped or filtered by."""
        groups = [group for group in query.group_by if group.base != TIME]
        fields = (field for condition in self._conditions(query) for field in condition.fields)
        return {group.column for group in (*groups, *(field.group for field in fields))
                if group.base != TIME}  # fmt: skip

    def columns(self, leaves: Iterable[str], by: Preaggregate) -> set[str]:
        """The columns of a pre-aggregate that simple metrics are read from."""
        known = {(component.agg, component.expr): component.column for component in by.components}
        return {known[aggregate(self._model, leaf)] for leaf in leaves}

    def _conditions(self, query: Query) -> tuple[Condition, ...]:
        own = own_filters(self._model, query.metrics)
        return (*self._model.conditions((*query.where, *query.confined)), *own)

    def _group_refusal(self, group: GroupBy, by: Preaggregate, own: str) -> str:
        head, _, tail = group.name.rpartition("__")
        if head == TIME and tail in self._model.fields.own_grains and not group.date_part:
            return "" if by.grain == "day" else f"it has no days for {group.name}"
        if group.base != TIME:
            return "" if group.column in by.dimensions else f"it is not by {group.column}"
        if group.date_part:
            return "" if by.grain == "day" else f"it has no days for {group.column}"
        return _grain_refusal(group.asked_grain, by, own)

    def _field_refusal(self, field: Field, by: Preaggregate, own: str) -> str:
        group = field.group
        if group.base != TIME:
            is_there = field.kind == "Dimension" and group.column in by.dimensions
            return "" if is_there else f"it is not by {group.column}, which a filter names"
        if field.grain in self._model.fields.own_grains or field.date_part:
            return "" if by.grain == "day" else f"it has no days for a filter on {group.column}"
        return _grain_refusal(group.asked_grain, by, own)

    def _range_refusal(self, query: Query, by: Preaggregate) -> str:
        """Why the range of a question does not end where periods do."""
        query = self._model.ranges.widened(query)
        start, end = query.start, query.end
        sentence = f"its {by.grain}s do not begin and end where the range does"
        if start is not None and (
            start.time() != dt.time.min or periods.start_of(start.date(), by.grain) != start.date()
        ):
            return sentence
        if end is not None and end.year < dt.MAXYEAR:
            last = periods.last_of(periods.start_of(end.date(), by.grain), by.grain)
            if end.time() != dt.time.max or last != end.date():
                return sentence
        return ""


def _grain_refusal(grain: str | None, by: Preaggregate, own: str) -> str:
    if grain is None:  # the fact's own, which MetricFlow takes and names the column by
        return "" if own == by.grain == "day" else f"a time without a grain is by {own}"
    return "" if grain in WITHIN[by.grain] else f"{grain}s are not made of whole {by.grain}s"


def _shape_refusal(condition: Condition) -> str:
    """Why a filter says too much to be read over other columns; empty where it does not."""
    if condition.is_reviewed:
        return "a filter is SQL beyond comparisons"
    for comparison in condition.comparisons:
        field = comparison.field
        if field.kind in {"Metric", "Entity"}:
            return f"a filter names {field.name}, each of which is many rows"
        if field.group.base != TIME and field.kind != "TimeDimension":
            continue
        is_plain = all(
            value.kind in {"date", "timestamp", "number", "nothing"} or _DAY.fullmatch(value.text)
            for value in comparison.values
        )
        if comparison.cast or comparison.operator not in _TIME_OPERATORS or not is_plain:
            return f"a filter reads {field.name} as something else than a time"
    return ""


# Questions over pre-aggregates -------------------------------------------------------------------


class Stand:
    """Pre-aggregates that stand for the facts of questions: definitions, and how to ask by them."""

    def __init__(self, model: SemanticModel, chosen: Sequence[Preaggregate]) -> None:
        """Take the definitions and one pre-aggregate a fact."""
        self._model = model
        self._chosen = {item.fact: item for item in chosen}
        names = dict.fromkeys(name for item in chosen for name in item.dimensions)
        self._keys = {name: f"key_{at}" for at, name in enumerate(names)}
        self._names = list(names)

    @cached_property
    def project(self) -> Project:
        """A project in which all metrics that can stand on the pre-aggregates."""
        manifest = self._model.project.semantic_manifest
        graph = self._model.metric_graph
        known = {
            (item.fact, component.agg, component.expr): component
            for item in self._chosen.values()
            for component in item.components
        }
        metrics: dict[str, dict[str, Any]] = {}
        for name in reversed(graph.closure(*graph.metrics)):
            metric = copy.deepcopy(graph.metrics[name])
            if metric["type"] == "simple":
                fact = fact_of(self._model, name) if graph.aggregation(name) else None
                component = known.get((fact, *aggregate(self._model, name))) if fact else None
                if component is None or fact is None:
                    continue
                self._stand_on(metric, self._chosen[fact], component)
            if self._with_filters(metric):
                metrics[name] = metric
        # A metric stands only where all below it do.
        is_whole = {name: all(n in metrics for n in graph.closure(name)) for name in metrics}
        return project_of(self._model, manifest | {
            "semantic_models": [self._semantic_model(item) for item in self._chosen.values()],
            "metrics": [metric for name, metric in metrics.items() if is_whole[name]],
            "saved_queries": [],
        })  # fmt: skip

    @staticmethod
    def _stand_on(metric: dict[str, Any], by: Preaggregate, component: Component) -> None:
        metric["type_params"]["expr"] = component.column
        aggregation = metric["type_params"]["metric_aggregation_params"]
        aggregation |= {
            "semantic_model": by.name, "agg_time_dimension": PERIOD, "agg_params": None,
            "agg": component.agg if component.agg in {"min", "max"} else "sum",
        }  # fmt: skip
        if aggregation.get("non_additive_dimension"):
            aggregation["non_additive_dimension"]["name"] = PERIOD

    def _with_filters(self, metric: dict[str, Any]) -> bool:
        """Let the filters of a metric name the keys; False where one names something else."""
        params = metric["type_params"]
        inputs = [
            params.get("numerator"),
            params.get("denominator"),
            *(params.get("metrics") or ()),
        ]
        inputs += [(params.get("cumulative_type_params") or {}).get("metric")]
        for holder in (metric, *filter(None, inputs)):
            for entry in filters_of(holder):
                condition = read(entry["where_sql_template"], self._model.fields, reviewed=True)
                if _shape_refusal(condition) or not all(map(self._is_known, condition.fields)):
                    return False
                entry["where_sql_template"] = self._over_keys(condition).template
        return True

    def _is_known(self, field: Field) -> bool:
        return field.group.base == TIME or field.group.column in self._keys

    def _semantic_model(self, by: Preaggregate) -> dict[str, Any]:
        period: dict[str, Any] = {
            "name": PERIOD, "type": "time", "expr": by.period,
            "type_params": {"time_granularity": "day", "validity_params": None},
        }  # fmt: skip
        keys: list[dict[str, Any]] = [
            {"name": self._keys[name], "type": "categorical", "expr": name, "type_params": None}
            for name in by.dimensions
        ]
        rest: dict[str, Any] = {
            "description": None, "is_partition": False, "metadata": None, "label": None,
            "config": {"meta": {}},
        }  # fmt: skip
        return {
            "name": by.name, "defaults": {"agg_time_dimension": PERIOD}, "description": None,
            "node_relation": by.relation, "primary_entity": _ENTITY, "entities": [],
            "measures": [], "dimensions": [item | rest for item in (period, *keys)],
            "label": None, "metadata": None, "config": {"meta": {}},
        }  # fmt: skip

    def question(self, query: Query) -> Query:
        """A question as it is asked by the pre-aggregates; its cards were looked at before."""
        query = self._model.ranges.widened(query)
        conditions = self._model.conditions((*query.where, *query.confined))
        columns = {group.column: self._group(group).column for group in query.group_by}
        columns |= {group.name: self._group(group).column for group in query.group_by}

        def ordered(item: str) -> str:
            name = item.removeprefix("-")
            return item.removesuffix(name) + columns.get(name, name)

        return replace(
            query,
            group_by=tuple(map(self._group, query.group_by)),
            where=tuple(map(self._over_keys, conditions)),
            order_by=tuple(map(ordered, query.order_by)),
            confined=(),
            governed=False,
        )

    def renamed(self, sql: str) -> str:
        """The SQL of a question with its columns as the question names them."""
        parts = _TEXT.split(sql)  # what stands in quotes is a value of a filter
        parts[::2] = [_KEY.sub(lambda m: self._names[int(m[1])], part) for part in parts[::2]]
        return "".join(parts)

    def _group(self, group: GroupBy) -> GroupBy:
        key = self._keys.get(group.column)
        return GroupBy(f"{_ENTITY}__{key}") if key else group

    def _over_keys(self, condition: Condition) -> Condition:
        return Condition(self._node(condition.tree))

    def _node(self, node: Node) -> Node:
        if isinstance(node, Joined):
            return replace(node, parts=tuple(map(self._node, node.parts)))
        if isinstance(node, Not):
            return replace(node, of=self._node(node.of))
        if isinstance(node, Comparison):
            key = self._keys.get(node.field.group.column)
            if key is not None:
                return replace(node, field=Field("Dimension", f"{_ENTITY}__{key}"))
        return node
