"""What a metric is made of, from manifests of both specifications."""

from __future__ import annotations

import copy
import json

import pytest

from cadran.core.project.measures import in_one_specification
from cadran.core.semantics.metrics import MetricGraph, filters_of

TIME = "booked_at"


def metric(name, kind="simple", *, filters=(), **params):
    where = {"where_filters": [{"where_sql_template": text} for text in filters]}
    return {
        "name": name, "type": kind, "description": None, "label": name, "metadata": None,
        "type_params": params, "filter": where if filters else None, "config": {"meta": {}},
        "time_granularity": None,
    }  # fmt: skip


def block(name, agg="sum", **aggregation):
    return metric(
        name, expr=name,
        metric_aggregation_params={"semantic_model": "sales", "agg": agg, **aggregation},
    )  # fmt: skip


def reading(name, **more):
    return {"name": name, **more}


STOCK = {"name": TIME, "window_choice": "max", "window_groupings": []}
METRICS = [
    block("amount"), block("refunds"), block("orders", "count"),
    block("buyers", "count_distinct"), block("stock", non_additive_dimension=STOCK),
    metric("net", "derived", expr="coalesce(amount, 0) - refunds * 2",
           metrics=[reading("amount"), reading("refunds")]),
    metric("plus_one", "derived", expr="amount + 1", metrics=[reading("amount")]),
    metric("logged", "derived", expr="ln(amount)", metrics=[reading("amount")]),
    metric("per_order", "ratio", numerator=reading("net"), denominator=reading("orders")),
    metric("per_buyer", "derived", expr="net / nullif(buyers, 0)",
           metrics=[reading("net"), reading("buyers")]),
    metric("growth", "derived", expr="net - before",
           metrics=[reading("net"),
                    reading("net", alias="before",
                            offset_window={"count": 1, "granularity": "year"})]),
    metric("web_share", "ratio",
           numerator=reading("amount", filter={"where_filters": [{"where_sql_template": "x"}]}),
           denominator=reading("amount")),
    metric("to_date", "cumulative",
           cumulative_type_params={"grain_to_date": "month", "metric": reading("amount")}),
    metric("converted", "conversion",
           conversion_type_params={"entity": "visitor", "base_metric": reading("buyers"),
                                   "conversion_metric": reading("orders")}),
]  # fmt: skip


@pytest.fixture
def graph():
    return MetricGraph({"metrics": copy.deepcopy(METRICS)})


def test_all_that_is_below_a_metric_comes_once_and_in_the_order_of_reading(graph):
    assert graph.closure("per_order") == ["per_order", "net", "amount", "refunds", "orders"]
    assert graph.leaves("per_buyer") == ["amount", "refunds", "buyers"]
    assert graph.leaves("growth", "converted") == ["amount", "refunds", "buyers", "orders"]
    assert graph.semantic_models("per_order", "to_date") == {"sales"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("amount", "additive"), ("orders", "additive"), ("net", "additive"),
        ("stock", "semi_additive"), ("to_date", "semi_additive"), ("growth", "semi_additive"),
        ("buyers", "not_additive"), ("per_order", "not_additive"), ("per_buyer", "not_additive"),
        ("plus_one", "not_additive"), ("converted", "not_additive"), ("logged", None),
    ],
)  # fmt: skip
def test_how_values_may_be_summed_follows_from_the_definition(graph, name, expected):
    assert graph.additivity(name) == expected
    assert graph.is_additive(name) is (expected == "additive")


def test_sums_and_distinct_counts_come_together_over_a_period_and_nothing_else_does(graph):
    names = {"amount", "refunds", "orders", "buyers", "net"}
    assert {metric["name"] for metric in METRICS if graph.accrues(metric["name"])} == names


def test_only_what_is_read_as_it_is_stands_beside_a_ratio(graph):
    assert graph.direct_leaves("per_order") == ["amount", "refunds", "orders"]
    assert graph.direct_leaves("web_share") == []  # filtered once more
    assert graph.direct_leaves("growth") == []  # of another period
    assert graph.direct_leaves("to_date") == []


def test_observations_are_rows_of_the_denominator_or_of_the_base(graph):
    assert graph.observed("per_order") == "orders"
    assert graph.observed("per_buyer") == "amount"
    assert graph.observed("converted") == "buyers"
    assert graph.observed("to_date") == "amount"


def test_what_looks_at_other_periods_is_known(graph):
    around = {m["name"] for m in METRICS if graph.reads_other_periods(m["name"])}
    assert around == {"stock", "growth", "to_date", "converted"}
    assert {m["name"] for m in METRICS if graph.needs_time(m["name"])} == {"growth", "to_date"}
    assert {m["name"] for m in METRICS if graph.accumulates(m["name"])} == {"to_date"}
    assert graph.conversion_entities("converted", "net") == {"visitor"}


def test_a_quotient_has_two_sides_that_are_metrics_of_their_own(graph):
    metrics, components = graph.with_components(["per_buyer", "net"])
    added = {one["name"]: one for one in metrics if one["name"] not in graph.metrics}
    sides = components["per_buyer"]
    assert added[sides.numerator]["type_params"]["expr"] == "net"
    assert added[sides.denominator]["type_params"]["metrics"] == [reading("buyers")]
    counted = added[sides.observations]["type_params"]
    assert counted["metric_aggregation_params"]["agg"] == "count"
    assert components["net"].names == ["amount_ledger_observations"]
    assert graph.metrics["amount"]["type_params"]["metric_aggregation_params"]["agg"] == "sum"


OLD = {
    "semantic_models": [{
        "name": "sales", "description": None, "label": None, "metadata": None, "config": None,
        "node_relation": {"alias": "sales", "schema_name": "main", "database": None,
                          "relation_name": '"main"."sales"'},
        "primary_entity": None, "defaults": {"agg_time_dimension": TIME},
        "entities": [{"name": "visitor", "type": "foreign", "expr": "visitor_id"},
                     {"name": "sale", "type": "primary", "expr": "sale_id"}],
        "dimensions": [{"name": TIME, "type": "time",
                        "type_params": {"time_granularity": "day"}}],
        "measures": [
            {"name": "amount", "agg": "sum", "expr": "price * pieces"},
            {"name": "visits", "agg": "count_distinct", "expr": "visitor_id"},
            {"name": "pieces", "agg": "sum"},
            {"name": "stock", "agg": "sum", "non_additive_dimension": STOCK},
        ],
    }],
    "metrics": [
        metric("turnover", measure={"name": "amount"}, filters=["{{ Dimension('sale__a') }}"]),
        metric("sold", measure={"name": "pieces", "fill_nulls_with": 0,
                                "filter": {"where_filters": [{"where_sql_template": "b"}]}}),
        metric("level", measure={"name": "stock", "join_to_timespine": True}),
        metric("price", "ratio", numerator={"name": "turnover"}, denominator={"name": "sold"}),
        metric("running", "cumulative", measure={"name": "amount"},
               window={"count": 7, "granularity": "day"}),
        metric("running_level", "cumulative", grain_to_date="month",
               measure={"name": "stock", "join_to_timespine": True}),
        metric("convinced", "conversion", conversion_type_params={
            "base_measure": {"name": "visits"}, "conversion_measure": {"name": "pieces"},
            "entity": "visitor", "calculation": "conversion_rate"}),
    ],
    "project_configuration": {
        "time_spine_table_configurations": [], "metadata": None, "time_spines": [],
        "dsi_package_version": {"major_version": "0", "minor_version": "9", "patch_version": "0"},
    },
    "saved_queries": [],
}  # fmt: skip


def inputs_of(params):
    cumulative, conversion = params.cumulative_type_params, params.conversion_type_params
    inputs = [params.numerator, params.denominator, cumulative and cumulative.metric]
    inputs += [conversion.base_metric, conversion.conversion_metric] if conversion else []
    return [part.name for part in inputs if part]


def test_measures_are_read_as_metricflow_reads_them():
    from metricflow_semantics.model.dbt_manifest_parser import (
        parse_manifest_from_dbt_generated_manifest,
    )

    parsed = parse_manifest_from_dbt_generated_manifest(json.dumps(OLD))
    theirs = {metric.name: metric for metric in parsed.metrics}
    graph = MetricGraph(in_one_specification(copy.deepcopy(OLD)))
    for name, read in graph.metrics.items():
        own, params = theirs[name], read["type_params"]
        if own.type.value == "simple":
            aggregation = own.type_params.metric_aggregation_params
            assert graph.aggregation(name)["agg"] == aggregation.agg.value
            assert graph.semantic_model(name) == aggregation.semantic_model
            assert params["expr"] == own.type_params.expr
            assert params["fill_nulls_with"] == own.type_params.fill_nulls_with
            assert params["join_to_timespine"] == own.type_params.join_to_timespine
            filters = own.filter.where_filters if own.filter else ()
            templates = [one["where_sql_template"] for one in filters_of(read)]
            assert templates == [f.where_sql_template for f in filters]
        else:
            assert [part.name for part in graph.inputs(name)] == inputs_of(own.type_params), name
    assert graph.additivity("running_level") == "semi_additive"
    assert graph.semantic_models("convinced") == {"sales"}
    assert graph.observed("convinced") == "visits"


def test_in_a_manifest_without_measures_each_metric_has_a_meta_and_the_rest_stays():
    manifest = {"semantic_models": [{"name": "sales", "measures": []}], "metrics": METRICS}
    made = in_one_specification(manifest)
    assert made["semantic_models"] == manifest["semantic_models"]
    for metric, given in zip(made["metrics"], METRICS, strict=True):
        assert metric == given | {"config": {"meta": {}} | (given.get("config") or {})}
