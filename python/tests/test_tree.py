"""The KPI tree: relations are read from definitions and checked in figures."""

from __future__ import annotations

import copy

import pytest

from cadran.core.layer import Layer
from cadran.core.semantics import tree
from cadran.core.semantics.metrics import MetricGraph
from cadran.errors import CardError
from cadran.insight import tree_check


@pytest.fixture
def edited(layer):
    """The same layer with a card or metric changed in memory."""

    def edit(name, change):
        other = Layer(layer.project, plan_cache=False)
        other.__dict__["warehouse"] = layer.warehouse
        metrics = copy.deepcopy(layer.metric_graph.metrics)
        change(metrics[name])
        other.__dict__["metric_graph"] = MetricGraph({"metrics": list(metrics.values())})
        return other

    return edit


def card_of(metric):
    return metric["config"]["meta"]["kpi"]


def test_every_exact_relation_of_the_demo_holds(layer):
    checks = tree_check.check(layer, tree.read(layer))
    kinds = {check.kind for check in checks}
    assert {"same", "ratio", "formula", "cumulative"} <= kinds
    assert [check for check in checks if not check.holds] == []


def test_relations_are_named_by_their_shape():
    def kind(text, *names):
        parts = tuple(tree.Component(name, name) for name in names)
        relation = tree._parsed("k", text, parts, "duckdb")
        return relation.kind, [part.sign for part in relation.components]

    assert kind("coalesce(a, 0)", "a") == ("same", [""])
    assert kind("a + b - c", "a", "b", "c") == ("sum", ["+", "+", "−"])  # noqa: RUF001 - minus
    assert kind("a * b", "a", "b") == ("product", ["×", "×"])  # noqa: RUF001 - times
    assert kind("1000.0 * coalesce(a, 0) / nullif(b, 0)", "a", "b") == ("ratio", ["", "÷"])
    assert kind("(a - b) / a", "a", "b")[0] == "formula"


def test_an_exact_part_and_a_declared_driver_are_told_apart(layer):
    links = {(link.tail, link.head): link for link in tree.read(layer).links}
    assert links["order_count", "average_order_value"].is_exact
    assert not links["order_count", "net_revenue"].is_exact


def test_a_declared_relation_that_is_true_holds_and_a_false_one_is_found(edited):
    def declare(text):
        return edited("revenue_month_to_date", lambda m: card_of(m).update(relation=text))

    true, false = declare("net_revenue * 1"), declare("net_revenue * 1.01")
    for layer, holds in ((true, True), (false, False)):
        found = [
            c
            for c in tree_check.check(layer, tree.read(layer))
            if c.expression.startswith("net_revenue *")
        ]
        assert [check.holds for check in found] == [holds]


def test_a_driver_that_is_no_kpi_is_refused_with_its_file(edited):
    layer = edited("net_revenue", lambda m: card_of(m).update(drivers=["order_cuont"]))
    with pytest.raises(CardError, match="order_cuont"):
        tree.read(layer)


def test_drivers_that_go_in_a_circle_are_refused(edited):
    layer = edited("order_count", lambda m: card_of(m).update(drivers=["net_revenue"]))
    with pytest.raises(CardError, match="circle"):
        tree.read(layer)


def test_the_way_up_stops_at_the_first_strategic_kpi(layer):
    ways = tree.read(layer).ways_up("change_failure_rate", {"platform_availability", "net_revenue"})
    assert list(ways) == ["platform_availability"]
    assert [link.head for link in ways["platform_availability"]] == [
        "incident_count", "platform_availability",
    ]  # fmt: skip
