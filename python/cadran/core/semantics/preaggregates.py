"""Pre-aggregates: sums of a fact by some dimensions, and which of them answers a question exactly.

A saved query with `config.meta.table: {preaggregate: true}` becomes a model of additive components:
of each metric that it names the sums, counts, least and greatest values at the bottom, at its grain
of `metric_time` and by its dimensions and those that the metrics' own filters name. Averages,
distinct counts and percentiles have no such components and are left out.

A question is answered from it as MetricFlow would answer it from the fact: by a second semantic
manifest, in which the metrics stand on the pre-aggregate. A sum of sums is the sum, and likewise
for least and greatest values, wherever each row of the fact counts in a group of its own
group's key. `Coverage` says when that holds.
"""

from __future__ import annotations

import copy
import datetime as dt
import json
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from cadran.core.project import generated
from cadran.core.project.artifacts import Project
from cadran.core.query.filters import Comparison, Condition, Joined, Not, read
from cadran.core.query.request import DAY_OR_COARSER, Field, GroupBy, Query, ask
from cadran.core.semantics.governed import TIME
from cadran.core.semantics.metrics import SUMMING, fills_gaps, filters_of
from cadran.core.semantics.model import SemanticModel
from cadran.core.warehouse import dialects
from cadran.errors import CadranError, CardError, listing
from cadran.formats import periods

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cadran.core.query.filters import Node

FOLDER = "preaggregates"
ROWS = "fact_rows"  # the column that counts the rows of the fact
_ENTITY = "preaggregate"
_PERIOD = "period"
_KEY = re.compile(rf"\b{_ENTITY}__key_(\d+)\b")
_TEXT = re.compile(r"('(?:[^']|'')*')")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_COMPONENTS = (*SUMMING, "min", "max")
# The grains whose periods are made of whole periods of another one.
_WITHIN = {
    "day": DAY_OR_COARSER,
    "week": ("week",),
    "month": ("month", "quarter", "year"),
    "quarter": ("quarter", "year"),
    "year": ("year",),
}
# How a time may be compared: a text is not, for a day and an instant are not the same text.
_TIME_OPERATORS = {"=", "<>", "<", ">", "<=", ">=", "in", "between", "is"}


class Component(NamedTuple):
    """What is computed of the rows of a group: an aggregate of an expression, and its column."""

    agg: str
    expr: str
    column: str


class Fact(NamedTuple):
    """Rows and the time by which they are counted: a semantic model and one of its dimensions."""

    model: str
    time: str


@dataclass(frozen=True, slots=True)
class Preaggregate:
    """Components of a fact at a grain and by dimensions.

    Attributes:
        name: of the saved query and of its model.
        fact: what is aggregated.
        grain: of `metric_time`.
        dimensions: as questions name them, in the order of the columns.
        components: one a column.
        relation: the model's relation, as the semantic manifest writes one; empty where dbt does
            not know the model yet.
        unique_id: of the model.
        checksum: of the file that the model stands in.
        rests_on: the ids of the tables that it was computed from.
        tests: the ids of its tests.
        problem: why it cannot be read, whatever is built; empty where it can.
    """

    name: str
    fact: Fact
    grain: str
    dimensions: tuple[str, ...]
    components: tuple[Component, ...]
    relation: dict[str, Any]
    unique_id: str = ""
    checksum: str = ""
    rests_on: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    problem: str = ""

    @property
    def period(self) -> str:
        """The column of its periods."""
        return f"{TIME}__{self.grain}"

    @property
    def relation_name(self) -> str:
        """Its relation as SQL names it."""
        return str(self.relation["relation_name"])


# Definitions -----------------------------------------------------------------------------------


def is_marked(saved: dict[str, Any]) -> bool:
    """Whether a saved query of dbt's manifest is one of a pre-aggregate."""
    table = (saved["config"].get("meta") or {}).get("table")
    return isinstance(table, dict) and bool(table.get("preaggregate"))


def marked(model: SemanticModel) -> list[dict[str, Any]]:
    """The saved queries of the project itself that are pre-aggregates, by name."""
    manifest = model.project.dbt_manifest
    own = manifest["metadata"]["project_name"]
    saved = (query for query in manifest["saved_queries"].values() if is_marked(query))
    return sorted((q for q in saved if q["package_name"] == own), key=lambda q: str(q["name"]))


def of(model: SemanticModel, saved: dict[str, Any]) -> Preaggregate:
    """The pre-aggregate of a saved query, as its definitions have it.

    Raises:
        CardError: it cannot be one; the message says what to write.
    """
    name = str(saved["name"])
    query = model.saved_query(name)
    graph = model.metric_graph

    def refusal(what: str) -> CardError:
        return CardError(f"{saved['original_file_path']}: pre-aggregate '{name}': {what}")

    if query.where or query.limit is not None or query.order_by:
        raise refusal("it takes no where, order_by or limit; what is left out answers nothing")
    times = [group for group in query.group_by if group.base == TIME]
    if len(times) != 1 or times[0].asked_grain not in DAY_OR_COARSER or times[0].date_part:
        raise refusal(f"group by metric_time at one grain of {', '.join(DAY_OR_COARSER)}")
    grain = str(times[0].asked_grain)
    leaves = [leaf for leaf in graph.leaves(*query.metrics) if graph.aggregation(leaf)]
    facts = {fact_of(model, leaf) for leaf in leaves}
    if len(facts) != 1:
        raise refusal(
            f"its metrics count {listing(sorted(f'{f.model} by {f.time}' for f in facts)) or 'no'}"
            " rows: give each fact a pre-aggregate of its own, of its building blocks"
        )
    fact = facts.pop()
    components = components_of(model, leaves)
    if not components:
        raise refusal("none of its metrics is a sum, a count, a least or greatest value")
    if any(component.column == ROWS for component in components):
        raise refusal(f"a metric is called {ROWS}, as the column that counts the rows is")
    known = {item["name"]: item["type"] for item in model.dimensions(leaves, governed=False)}
    asked = [group.name for group in query.group_by if group.base != TIME]
    filtered = {
        field.group.column
        for condition in _own_filters(model, query.metrics)
        for field in condition.fields
        if field.group.base != TIME
    }
    dimensions = tuple(dict.fromkeys([*asked, *sorted(filtered)]))
    for dimension in dimensions:
        if known.get(dimension) != "categorical":
            raise refusal(f"{dimension} is no categorical dimension of {fact.model}")
    own = _own_grain(model, fact)
    if own in periods.GRAINS and grain not in _WITHIN[own]:
        raise refusal(f"{fact.model} is known by {own}, and {grain}s are not made of {own}s")
    return Preaggregate(name, fact, grain, dimensions, components, {})


def components_of(model: SemanticModel, leaves: Iterable[str]) -> tuple[Component, ...]:
    """What adds up of simple metrics; one component for all that aggregate the same alike."""
    components: dict[tuple[str, str], Component] = {}
    for leaf in leaves:
        agg, expr = _aggregate(model, leaf)
        if agg in _COMPONENTS:
            components.setdefault((agg, expr), Component(agg, expr, leaf))
    return tuple(components.values())


def fact_of(model: SemanticModel, leaf: str) -> Fact:
    """The fact that a simple metric counts."""
    aggregation = model.metric_graph.aggregation(leaf)
    name = str(aggregation["semantic_model"])
    time = aggregation["agg_time_dimension"]
    return Fact(name, str(time or semantic_model(model, name)["defaults"]["agg_time_dimension"]))


def semantic_model(model: SemanticModel, name: str) -> dict[str, Any]:
    """A semantic model as the manifest defines it."""
    models = model.project.semantic_manifest["semantic_models"]
    return next(item for item in models if item["name"] == name)


def time_of(model: SemanticModel, fact: Fact) -> dict[str, Any]:
    """The time dimension by which a fact is counted, as the manifest defines it."""
    dimensions = semantic_model(model, fact.model)["dimensions"]
    return next(item for item in dimensions if item["name"] == fact.time)


def _own_grain(model: SemanticModel, fact: Fact) -> str:
    return str(time_of(model, fact)["type_params"]["time_granularity"])


def _aggregate(model: SemanticModel, leaf: str) -> tuple[str, str]:
    """How a simple metric aggregates rows, and what of them."""
    expr = model.metric(leaf)["type_params"].get("expr") or leaf
    return str(model.metric_graph.aggregation(leaf)["agg"]), str(expr)


def _own_filters(model: SemanticModel, metrics: Iterable[str]) -> list[Condition]:
    """The filters within the definitions of metrics and of all below them."""
    graph = model.metric_graph
    found = []
    for name in graph.closure(*metrics):
        holders = [filters_of(model.metric(name)), *(part.filters for part in graph.inputs(name))]
        found += [entry["where_sql_template"] for entries in holders for entry in entries]
    return [read(text, model.fields, reviewed=True) for text in found]


# The model -------------------------------------------------------------------------------------


def sql_of(model: SemanticModel, preaggregate: Preaggregate, *, dialect: str | None = None) -> str:
    """The statement that computes a pre-aggregate, as MetricFlow writes it, over physical names.

    Every row of the fact counts in it: a metric's own filters are applied when it is asked.

    Args:
        model: the definitions.
        preaggregate: what is computed.
        dialect: in which it is written; by default the warehouse's.
    """
    graph = model.metric_graph
    metrics = [
        _of_all_rows(graph.metrics[component.column], {}) for component in preaggregate.components
    ]
    counted = graph.metrics[preaggregate.components[0].column]
    rows = _of_all_rows(counted, {"agg": "count", "agg_params": None})
    rows["name"], rows["type_params"]["expr"] = ROWS, "1"
    manifest = model.project.semantic_manifest | {"metrics": [*metrics, rows], "saved_queries": []}
    names = [component.column for component in preaggregate.components]
    groups = [preaggregate.period, *preaggregate.dimensions]
    other = SemanticModel(_project(model, manifest, dialect), plan_cache=False)
    return other.stable_sql(ask([*names, ROWS], groups, governed=False, ordered=False))


def _of_all_rows(metric: dict[str, Any], aggregation: dict[str, Any]) -> dict[str, Any]:
    metric = copy.deepcopy(metric) | {"filter": None, "label": None, "config": None}
    metric["type_params"] |= {
        "join_to_timespine": False, "fill_nulls_with": None, "is_private": False,
    }  # fmt: skip
    metric["type_params"]["metric_aggregation_params"] |= {
        "non_additive_dimension": None, **aggregation,
    }  # fmt: skip
    return metric


def _project(model: SemanticModel, manifest: dict[str, Any], dialect: str | None = None) -> Project:
    own = model.project
    return Project(
        own.semantic_manifest_path, own.database, own.root, plans=own.plans,
        text=json.dumps(manifest, sort_keys=True).encode(), dialect=dialect,
    )  # fmt: skip


def model_text(model: SemanticModel, preaggregate: Preaggregate) -> str:
    """The dbt model of a pre-aggregate.

    It is computed whole by each build: a member that moves to another group of a dimension takes
    its past with it.
    """
    # One text for all engines: sums and periods are written alike on each.
    sql = generated.with_refs(
        sql_of(model, preaggregate, dialect=dialects.DEFAULT),
        model.project.relations,
        model.project.dbt_manifest,
    )
    body = "\n".join(f"    {line}" if line else "" for line in sql.strip().splitlines())
    return (
        "{#- Generated by `cadran tables` from a saved query; edit that, never this file. -#}\n"
        "{{ config(materialized='table') }}\n\n"
        f"with answer as (\n{body}\n)\n\nselect * from answer\n"
    )


def built(model: SemanticModel) -> list[Preaggregate]:
    """The pre-aggregates of a project with what dbt knows of their models."""
    manifest = model.project.dbt_manifest
    own = manifest["metadata"]["project_name"]
    found = []
    for saved in marked(model):
        try:
            preaggregate = of(model, saved)
        except CadranError:
            continue  # `cadran check` says why
        node = manifest["nodes"].get(f"model.{own}.{preaggregate.name}")
        if node is None or FOLDER not in node["fqn"]:
            found.append(replace(preaggregate, problem="run `cadran tables` and build its model"))
            continue
        found.append(_with_node(model, preaggregate, node))
    return found


def _with_node(
    model: SemanticModel, preaggregate: Preaggregate, node: dict[str, Any]
) -> Preaggregate:
    manifest = model.project.dbt_manifest
    problem = ""
    if not generated.is_same(node["raw_code"].strip(), model_text(model, preaggregate).strip()):
        problem = "its model is not what the definitions say: run `cadran tables`"
    tables, unknown = _tables(manifest, node["depends_on"]["nodes"])
    if unknown:
        problem = problem or f"nobody marks when {unknown} changes"
    relation = {
        "alias": node["alias"], "schema_name": node["schema"], "database": node["database"],
        "relation_name": node["relation_name"],
    }  # fmt: skip
    tests = [
        key
        for key, test in manifest["nodes"].items()
        if test["resource_type"] == "test" and node["unique_id"] in test["depends_on"]["nodes"]
    ]
    return replace(
        preaggregate, relation=relation, unique_id=node["unique_id"], rests_on=tuple(tables),
        checksum=node["checksum"]["checksum"], tests=tuple(sorted(tests)), problem=problem,
    )  # fmt: skip


def _tables(manifest: dict[str, Any], ids: Iterable[str]) -> tuple[list[str], str]:
    """The tables whose rows stand behind models, and the name of one that nobody marks, if any."""
    tables: dict[str, None] = {}
    waiting, unknown = list(ids), ""
    while waiting:
        key = waiting.pop()
        node = manifest["nodes"].get(key)
        if node is None:
            unknown = key.rpartition(".")[2]
        elif node["config"]["materialized"] in {"view", "ephemeral"}:
            waiting += node["depends_on"]["nodes"]
        elif node["config"]["materialized"] in {"table", "incremental", "seed", "snapshot"}:
            tables[key] = None
        else:
            unknown = str(node["name"])
    return sorted(tables), unknown


def to_json(preaggregates: Iterable[Preaggregate]) -> list[dict[str, Any]]:
    """They as JSON types, to be kept."""
    return [
        {name: getattr(item, name) for name in Preaggregate.__slots__} for item in preaggregates
    ]


def from_json(stored: Iterable[dict[str, Any]]) -> list[Preaggregate]:
    """What `to_json` kept."""
    found = []
    for item in stored:
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in item.items()
        }
        values["fact"] = Fact(*item["fact"])
        values["components"] = tuple(Component(*component) for component in item["components"])
        found.append(Preaggregate(**values))
    return found


# Coverage --------------------------------------------------------------------------------------


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
        if aggregation and aggregation.get("agg") not in _COMPONENTS:
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
            if _aggregate(self._model, leaf) not in known:
                return f"it has no component of {leaf}"
        own = _own_grain(self._model, by.fact)
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
            for condition in (*self._conditions(query), *_own_filters(self._model, above))
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
        return {known[_aggregate(self._model, leaf)] for leaf in leaves}

    def _conditions(self, query: Query) -> tuple[Condition, ...]:
        own = _own_filters(self._model, query.metrics)
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
        query = self._model.widened(query)
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
    return "" if grain in _WITHIN[by.grain] else f"{grain}s are not made of whole {by.grain}s"


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
                component = known.get((fact, *_aggregate(self._model, name))) if fact else None
                if component is None or fact is None:
                    continue
                self._stand_on(metric, self._chosen[fact], component)
            if self._with_filters(metric):
                metrics[name] = metric
        # A metric stands only where all below it do.
        is_whole = {name: all(n in metrics for n in graph.closure(name)) for name in metrics}
        return _project(self._model, manifest | {
            "semantic_models": [self._semantic_model(item) for item in self._chosen.values()],
            "metrics": [metric for name, metric in metrics.items() if is_whole[name]],
            "saved_queries": [],
        })  # fmt: skip

    @staticmethod
    def _stand_on(metric: dict[str, Any], by: Preaggregate, component: Component) -> None:
        metric["type_params"]["expr"] = component.column
        aggregation = metric["type_params"]["metric_aggregation_params"]
        aggregation |= {
            "semantic_model": by.name, "agg_time_dimension": _PERIOD, "agg_params": None,
            "agg": component.agg if component.agg in {"min", "max"} else "sum",
        }  # fmt: skip
        if aggregation.get("non_additive_dimension"):
            aggregation["non_additive_dimension"]["name"] = _PERIOD

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
            "name": _PERIOD, "type": "time", "expr": by.period,
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
            "name": by.name, "defaults": {"agg_time_dimension": _PERIOD}, "description": None,
            "node_relation": by.relation, "primary_entity": _ENTITY, "entities": [],
            "measures": [], "dimensions": [item | rest for item in (period, *keys)],
            "label": None, "metadata": None, "config": {"meta": {}},
        }  # fmt: skip

    def question(self, query: Query) -> Query:
        """A question as it is asked by the pre-aggregates; its cards were looked at before."""
        query = self._model.widened(query)
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
