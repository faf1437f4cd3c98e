"""Pre-aggregates: sums of a fact by some dimensions, in tables of their own.

A saved query with `config.meta.table: {preaggregate: true}` becomes a model of additive components:
of each metric that it names the sums, counts, least and greatest values at the bottom, at its grain
of `metric_time` and by its dimensions and those that the metrics' own filters name. Averages,
distinct counts and percentiles have no such components and are left out. Which questions are
answered from one is said in `coverage`.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from cadran.core.project import generated
from cadran.core.project.artifacts import Project
from cadran.core.query.filters import Condition, read
from cadran.core.query.request import DAY_OR_COARSER, ask
from cadran.core.semantics.governed import TIME
from cadran.core.semantics.metrics import SUMMING, filters_of
from cadran.core.semantics.model import SemanticModel
from cadran.core.warehouse import dialects
from cadran.errors import CadranError, CardError, listing
from cadran.formats import periods

if TYPE_CHECKING:
    from collections.abc import Iterable


FOLDER = "preaggregates"
ROWS = "fact_rows"  # the column that counts the rows of the fact
PERIOD = "period"
COMPONENTS = (*SUMMING, "min", "max")
# The grains whose periods are made of whole periods of another one.
WITHIN = {
    "day": DAY_OR_COARSER,
    "week": ("week",),
    "month": ("month", "quarter", "year"),
    "quarter": ("quarter", "year"),
    "year": ("year",),
}

# On Spark, where marks of changes are not written in one transaction with these, it is a table.
_INCREMENTAL = (
    "\n    materialized='table' if target.type == 'spark' else 'incremental',"
    "\n    incremental_strategy='replace_changed',"
    "\n    event_time='{}',"
    "\n    on_schema_change='sync_all_columns',"
    '\n    pre_hook="{{{{ cadran.note_computed_from() }}}}",'
    "\n    meta={{'fact': '{}'}},\n"
)


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
        for condition in own_filters(model, query.metrics)
        for field in condition.fields
        if field.group.base != TIME
    }
    dimensions = tuple(dict.fromkeys([*asked, *sorted(filtered)]))
    for dimension in dimensions:
        if known.get(dimension) != "categorical":
            raise refusal(f"{dimension} is no categorical dimension of {fact.model}")
    own = own_grain(model, fact)
    if own in periods.GRAINS and grain not in WITHIN[own]:
        raise refusal(f"{fact.model} is known by {own}, and {grain}s are not made of {own}s")
    return Preaggregate(name, fact, grain, dimensions, components, {})


def components_of(model: SemanticModel, leaves: Iterable[str]) -> tuple[Component, ...]:
    """What adds up of simple metrics; one component for all that aggregate the same alike."""
    components: dict[tuple[str, str], Component] = {}
    for leaf in leaves:
        agg, expr = aggregate(model, leaf)
        if agg in COMPONENTS:
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


def own_grain(model: SemanticModel, fact: Fact) -> str:
    """The grain of the time that a fact is counted by."""
    return str(time_of(model, fact)["type_params"]["time_granularity"])


def aggregate(model: SemanticModel, leaf: str) -> tuple[str, str]:
    """How a simple metric aggregates rows, and what of them."""
    expr = model.metric(leaf)["type_params"].get("expr") or leaf
    return str(model.metric_graph.aggregation(leaf)["agg"]), str(expr)


def own_filters(model: SemanticModel, metrics: Iterable[str]) -> list[Condition]:
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

    def compiled() -> str:
        other = SemanticModel(project_of(model, manifest, dialect), plan_cache=False)
        return other.stable_sql(ask([*names, ROWS], groups, governed=False, ordered=False))

    # It follows from the definitions alone, so that no process has to compile it again.
    sql: str = model.kept(("SQL of a pre-aggregate", dialect, names, groups), compiled)
    return sql


def _of_all_rows(metric: dict[str, Any], aggregation: dict[str, Any]) -> dict[str, Any]:
    metric = copy.deepcopy(metric) | {"filter": None, "label": None, "config": None}
    metric["type_params"] |= {
        "join_to_timespine": False, "fill_nulls_with": None, "is_private": False,
    }  # fmt: skip
    metric["type_params"]["metric_aggregation_params"] |= {
        "non_additive_dimension": None, **aggregation,
    }  # fmt: skip
    return metric


def project_of(
    model: SemanticModel, manifest: dict[str, Any], dialect: str | None = None
) -> Project:
    """The project of some definitions with another semantic manifest."""
    own = model.project
    return Project(
        own.semantic_manifest_path, own.database, own.root, plans=own.plans,
        text=json.dumps(manifest, sort_keys=True).encode(), dialect=dialect,
    )  # fmt: skip


def model_text(model: SemanticModel, preaggregate: Preaggregate) -> str:
    """The dbt model of a pre-aggregate.

    Where its fact is built by increments, a build computes the periods anew in which rows of it
    were replaced; all of them where a dimension changed, for a member that moves to another group
    takes its past along. A fact that is built whole may have changed anywhere.
    """
    # One text for all engines: sums and periods are written alike on each.
    sql = generated.with_refs(
        sql_of(model, preaggregate, dialect=dialects.DEFAULT),
        model.project.relations,
        model.project.dbt_manifest,
    )
    config, changed = "materialized='table'", ""
    fact = _incremental_fact(model, preaggregate)
    reference = f"{{{{ ref('{fact}') }}}}"
    if fact and sql.count(reference) == 1:
        config = _INCREMENTAL.format(preaggregate.period, fact)
        time = time_of(model, preaggregate.fact)
        call = f"cadran.changed_rows('{time['expr'] or time['name']}', '{preaggregate.period}')"
        changed = (
            f"changed as (\n    select * from {reference}\n"
            f'    {{{{ "where " ~ {call} if is_incremental() }}}}\n),\n\n'
        )
        sql = sql.replace(reference, "changed")
    body = "\n".join(f"    {line}" if line else "" for line in sql.strip().splitlines())
    return (
        "{#- Generated by `cadran tables` from a saved query; edit that, never this file. -#}\n"
        f"{{{{ config({config}) }}}}\n\n"
        f"with {changed}answer as (\n{body}\n)\n\nselect * from answer\n"
    )


def _incremental_fact(model: SemanticModel, preaggregate: Preaggregate) -> str:
    """The dbt model of a fact whose builds mark from which time on they replaced its rows.

    Empty where they do not, or by another time than that which the pre-aggregate counts by.
    """
    manifest = model.project.dbt_manifest
    own = manifest["metadata"]["project_name"]
    if f"macro.{own}.get_incremental_replace_changed_sql" not in manifest["macros"]:
        return ""
    relation = semantic_model(model, preaggregate.fact.model)["node_relation"]["relation_name"]
    time = time_of(model, preaggregate.fact)
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model" and node["relation_name"] == relation:
            config = node["config"]
            is_marked = (
                config["materialized"] == "incremental"
                and config.get("incremental_strategy") == "replace_from"
                and config.get("event_time") == (time["expr"] or time["name"])
            )
            return str(node["name"]) if is_marked else ""
    return ""


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
