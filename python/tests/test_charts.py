"""Charts: what is drawn is what was given, nothing joins two definitions, and both languages."""

from __future__ import annotations

import datetime as dt
import json
import re

import pytest

import cadran
from cadran import charts
from cadran.errors import QueryError

MONTHS = [dt.date(2026, month, 1) for month in range(1, 7)]


@pytest.fixture
def card(layer):
    return layer.card("net_revenue")


def rows(values, name="net_revenue"):
    return [{"metric_time__month": m, name: v} for m, v in zip(MONTHS, values, strict=True)]


def lines_of(svg):
    drawn = re.findall(r'<path[^>]* d="(M[^"]+)"[^>]*stroke="#0b5a8a"', svg)
    return [path for path in drawn if "L" in path]


def test_a_line_is_cut_where_the_definition_changed(card):
    data = rows([10, 20, 30, 40, 50, 60])
    whole = charts.svg(charts.line(data, card))
    cut = charts.svg(
        charts.line(data, card, breaks=[charts.Break(dt.date(2026, 4, 1), "v2 policy")])
    )
    assert len(lines_of(whole)) == 1
    assert len(lines_of(cut)) == 2
    assert "v2 policy" in cut


def test_what_was_published_is_cut_beside_a_line_that_is_not(card):
    said, breaks = rows([11, 21, 31, 40, 50, 60]), [charts.Break(dt.date(2026, 4, 1), "v2 policy")]
    data = rows([10, 20, 30, 40, 50, 60])
    svg = charts.svg(charts.line(data, card, published=said, breaks=breaks))
    assert len(lines_of(svg)) == 1
    dashed = re.findall(r'<path[^>]* d="(M[^"]+)"[^>]*stroke-dasharray="5,4"', svg)
    assert len([path for path in dashed if "L" in path]) == 2


def test_figures_are_written_as_the_language_writes_them(card):
    data = rows([1_000_000, 1_500_000, 1_200_000, 1_100_000, 1_300_000, 1_600_000])
    assert "€1M" in charts.svg(charts.line(data, card))
    french = charts.svg(charts.line(data, card, lang="fr"))
    assert "1\N{NO-BREAK SPACE}M€" in french
    assert "févr. 2026" in french


def test_the_bars_carry_the_exact_figures_greatest_first(card):
    data = [{"channel": "web", "net_revenue": 10}, {"channel": "shop", "net_revenue": 25}]
    svg = charts.svg(charts.bars(data, card))
    assert svg.index(">shop<") < svg.index(">web<")
    assert "€25" in svg


def test_a_waterfall_ends_at_the_sum_of_its_steps(card):
    steps = [
        {"label": "published", "value": 1000, "kind": "total"},
        {"label": "revisions", "value": -30, "kind": "step"},
        {"label": "definition", "value": 10, "kind": "step"},
        {"label": "now", "value": 980, "kind": "total"},
    ]
    drawn = json.dumps(charts.waterfall(steps, card).to_dict())
    ends = [float(end) for end in re.findall(r'"to": ([\d.]+)', drawn)][: len(steps)]
    assert ends == [1000, 970, 980, 980]
    assert "-€30" in charts.svg(charts.waterfall(steps, card))


def test_two_versions_are_drawn_apart_and_named(card):
    svg = charts.svg(charts.overlap(rows(range(6)), rows(range(6, 12)), card, names=("v1", "v2")))
    assert ">v1<" in svg
    assert ">v2<" in svg


def test_a_tree_draws_every_box_once_and_passes_over_unknown_arrows():
    nodes = [charts.Node("a", "A"), charts.Node("b", "B"), charts.Node("c", "C")]
    edges = [
        charts.Edge("a", "b"),
        charts.Edge("b", "c"),
        charts.Edge("a", "c"),
        charts.Edge("x", "a"),
    ]
    svg = charts.svg(charts.tree(nodes, edges), "A tree")
    assert [svg.count(f">{name}<") for name in "ABC"] == [1, 1, 1]
    assert 'aria-label="A tree"' in svg


def test_a_sparkline_of_gaps_is_still_a_picture():
    assert charts.svg(charts.sparkline([None, 1, None, 3, 2])).startswith("<svg")
    assert charts.svg(charts.sparkline([None, None])).startswith("<svg")


def test_rows_without_a_period_are_refused(card):
    with pytest.raises(QueryError, match="metric_time__month"):
        charts.line([{"net_revenue": 1}], card)


def test_a_kpi_in_the_hand_plots_itself(layer):
    kpi = cadran.Kpi(layer, "net_revenue")
    chart = kpi.plot(start="2026-01-01", end="2026-06-30", lang="fr")
    assert charts.png(chart).startswith(b"\x89PNG")
    assert "order_id__channel" in kpi.values(by="order_id__channel").columns
    assert "Net revenue" in repr(kpi)
