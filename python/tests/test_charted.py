"""The picture of an answer, and the cell magic that asks and shows it."""

from __future__ import annotations

import pytest
from IPython.core.interactiveshell import InteractiveShell

import cadran
from cadran.charts.picture import Bars, Plot

BY_DAY = {"metrics": ["revenue"], "group_by": ["metric_time__day"]}


def test_an_answer_by_time_is_a_line_and_one_by_a_dimension_bars(shop):
    line = shop.query(**BY_DAY).chart()
    assert isinstance(line.picture, Plot)
    assert line.picture.title == shop.card("revenue").label
    assert line.svg().startswith("<svg")
    bars = shop.query(["orders", "revenue"], ["customer__country"]).chart(lang="fr")
    assert isinstance(bars.picture, Bars)
    assert len(bars.picture.rows) == 3
    lines = shop.query(["revenue"], ["metric_time__month", "customer__country"]).chart()
    assert len({end.name for end in lines.picture.ends}) == 3
    compared = shop.query(**BY_DAY, compare="previous").chart()
    assert len(compared.picture.curves) == len(line.picture.curves)


@pytest.mark.parametrize(
    ("asked", "kpi", "words"),
    [
        ({"metrics": ["orders"], "group_by": ["metric_time__day"]}, None, "no metric of this"),
        ({"metrics": ["revenue"]}, None, "this one is by nothing"),
        (BY_DAY, "orders", "There is no KPI 'orders' in this answer"),
    ],
)
def test_what_no_chart_shows_is_refused(shop, asked, kpi, words):
    with pytest.raises(cadran.QueryError, match=words):
        shop.query(**asked).chart(kpi)


@pytest.fixture
def shell(shop):
    made = InteractiveShell()
    made.run_line_magic("load_ext", "cadran.notebook")
    made.user_ns["layer"] = shop
    return made


def test_a_cell_asks_by_yaml_keeps_the_result_and_draws_it(shell, shop):
    cell = "metrics: [revenue]\ngroup_by: [metric_time__day]\nstart: 2026-02-01\n"
    shown = shell.run_cell_magic("cadran", "february", cell)
    assert shown is shell.user_ns["february"]
    assert shown.to_arrow().equals(shop.query(**BY_DAY, start="2026-02-01").to_arrow())
    shell.user_ns["other"] = shop
    drawn = shell.run_cell_magic("cadran", "--chart --layer other", cell)
    assert isinstance(drawn.picture, Plot)


@pytest.mark.parametrize(
    ("line", "cell", "words"),
    [
        ("a b", "metrics: [revenue]", "takes a name, --chart and --layer"),
        ("--layer nothing", "metrics: [revenue]", "There is no layer 'nothing'"),
        ("", "revenue", "arguments of query as YAML"),
        ("", "metrics: [", "is no YAML"),
        ("", "metric: [revenue]", "Did you mean 'metrics'"),
    ],
)
def test_a_cell_that_cannot_be_read_is_refused_in_a_sentence(shell, line, cell, words):
    with pytest.raises(cadran.QueryError, match=words):
        shell.run_cell_magic("cadran", line, cell)
