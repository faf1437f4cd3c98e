"""What a published pack said is kept to the digit, and what moved since is told with its reason."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

import pytest

from cadran.cli.app import main
from cadran.errors import QueryError, UnknownNameError
from cadran.reports.pack import Figure, Notes, PictureBlock, Question, Series, Text
from cadran.reports.published import PublishedFigure, diff, figures_in, pack, packs, publish

FIRST, LAST = dt.date(2026, 7, 1), dt.date(2026, 9, 30)


def figure(metric="net_revenue", value=Decimal("1234567.80"), **more):
    more = {"unit": "EUR", "version": 1, **more}
    return PublishedFigure(metric, FIRST, LAST, value, **more)


@pytest.fixture
def layer(tmp_path):
    return SimpleNamespace(project=SimpleNamespace(root=tmp_path))


def test_a_pack_comes_back_to_the_digit_under_its_id(layer):
    figures = (
        figure(), figure(where=("b = 2", "a = 1"), value=None), figure("rate", 0.1, unit="%"),
        figure("order_count", 7, dimension="customer__country", member="FR", grain="quarter"),
        figure("state", "good", unit="", version=None),
    )  # fmt: skip
    titles = {"r/s/2026-Q3": {"en": "A", "fr": "B"}}
    said = publish(layer, "2026-Q3", figures, by="ann@example.com", recommendations=titles)
    assert (said.id, said.period, said.by) == ("pack-1", "2026-Q3", "ann@example.com")
    assert said.recommendations == titles
    assert diff(figures, said.figures) == ()
    revenue = next(f for f in said.figures if f.metric == "net_revenue" and not f.where)
    assert (revenue.value, str(revenue.value)) == (Decimal("1234567.80"), "1234567.80")
    assert {type(f.value) for f in said.figures} == {Decimal, type(None), float, int, str}
    assert pack(layer, "pack-1") == said
    assert packs(layer, "2026-Q2") == ()
    with pytest.raises(UnknownNameError, match="pack-2"):
        pack(layer, "pack-2")


def test_one_figure_with_two_values_and_a_pack_without_figures_are_not_published(layer):
    publish(layer, "2026-Q3", [figure(), figure()], by="a")
    with pytest.raises(QueryError, match="says net_revenue of 2026-07-01 to 2026-09-30 twice"):
        publish(layer, "2026-Q3", [figure(), figure(value=Decimal(1))], by="a")
    with pytest.raises(QueryError, match="no figures"):
        publish(layer, "2026-Q3", [], by="a")
    assert len(packs(layer)) == 1


def test_what_moved_is_told_with_its_reason():
    old = [
        figure("a", Decimal(100)), figure("b", Decimal(100)), figure("c", Decimal("1.0")),
        figure("d", 5), figure("e", 0.5), figure("f", 1, where=("x = 1", "y = 2")),
    ]  # fmt: skip
    new = [
        figure("a", Decimal(90)), figure("b", Decimal(120), version=2),
        figure("c", Decimal("1.00"), version=2), figure("e", None),
        figure("f", 1, where=("y = 2", "x = 1")), figure("g", 3),
    ]  # fmt: skip
    moved = {one.figure.metric: one for one in diff(old, new)}
    assert {
        name: (one.before, one.after, one.change, one.reason) for name, one in moved.items()
    } == {
        "a": (Decimal(100), Decimal(90), Decimal(-10), "data"),
        "b": (Decimal(100), Decimal(120), Decimal(20), "definition"),
        "d": (5, None, None, "removed"),
        "e": (0.5, None, None, "data"),
        "g": (None, 3, None, "added"),
    }
    assert moved["b"].versions == (1, 2)
    assert moved["a"].to_row()["change"] == -10


def test_what_a_pack_says_is_its_figures_and_the_values_of_its_charts_with_their_definitions():
    asked = Question("net_revenue", FIRST, LAST, where=("a = 1",), grain="quarter")
    of_member = Question("rate", FIRST, LAST, dimension="customer__country", member="FR")
    texts = (
        Text("", figures=(Figure("1.2 M", Decimal("1234567.80"), "EUR", asked),)),
        Text("", figures=(Figure("10 %", 0.1, "%", of_member),)),
        Text("", figures=(Figure("99 %", Fraction(999, 1000), "%", origin="sla a 2026-07 net",
                                 definition="contract a 1"),)),
    )  # fmt: skip
    months = Series("r", ("Jul", "Aug"), (5, None), "orders", sources=(Question("n", FIRST, LAST),
                    "limit high n"), definition="n version 3")  # fmt: skip
    layer = SimpleNamespace(
        is_kpi=lambda name: name == "net_revenue", card=lambda _: SimpleNamespace(version=3)
    )
    drawn = PictureBlock("", "", None, (months,))
    said = SimpleNamespace(key="2026-Q3", pages=(Notes(texts), drawn))
    assert figures_in(said, layer) == (
        figure(version=3, where=("a = 1",), grain="quarter"),
        figure("rate", 0.1, unit="%", version=None, dimension="customer__country", member="FR"),
        figure("sla a 2026-07 net", Fraction(999, 1000), unit="%", version=None,
               definition="contract a 1"),
        figure("n", 5, unit="orders", version=None, definition="n version 3"),
        figure("limit high n", None, unit="orders", version=None, definition="n version 3"),
    )  # fmt: skip


def test_a_contract_a_target_or_a_method_that_changed_is_a_definition_and_a_fraction_stays_exact(
    layer,
):
    net, cost = "sla a 2026-07 net", "impact i1 net_revenue low"
    old = [
        figure(net, Fraction(999, 1000), unit="%", version=None, definition="contract a 1"),
        figure(cost, 10.5, version=None, definition="impact 1"),
    ]
    new = [replace(old[0], value=Fraction(998, 1000), definition="contract a 2"),
           replace(old[1], value=11.0)]  # fmt: skip
    said = publish(layer, "2026-Q3", old, by="ann@example.com")
    assert {one.metric: one.value for one in said.figures}[net] == Fraction(999, 1000)
    moved = {one.figure.metric: one for one in diff(said.figures, new)}
    assert (moved[net].reason, moved[net].change) == ("definition", Decimal("-0.001"))
    assert moved[net].definitions == ("contract a 1", "contract a 2")
    assert (moved[cost].reason, moved[cost].change) == ("data", Decimal("0.5"))
    assert moved[net].to_row()["before"] == Decimal("0.999")


def test_the_command_tells_what_moved_between_two_packs(layer, monkeypatch, capsys):
    publish(layer, "2026-Q3", [figure("a", Decimal(100))], by="a")
    publish(layer, "2026-Q3", [figure("a", Decimal(90))], by="a")
    monkeypatch.setattr("cadran.cli.report.open_layer", lambda _: layer)
    assert main(["report", "diff", "pack-1", "pack-2", "--format", "json"]) == 1
    [row] = json.loads(capsys.readouterr().out)
    assert (row["before"], row["after"], row["reason"]) == (100, 90, "data")
    assert main(["report", "diff", "pack-1", "pack-1"]) == 0
    assert main(["report", "diff", "pack-1", "pack-3"]) == 2
    assert main(["report", "differ"]) == 2
    assert main(["report"]) == 2


def test_who_publishes_is_asked_before_the_pack_is_made(monkeypatch, capsys):
    monkeypatch.setattr("cadran.cli.report.open_layer", lambda _: pytest.fail("a pack is made"))
    assert main(["report", "--period", "2026-Q3", "--publish", "--by", "ann"]) == 2
    assert "'ann' is no address" in capsys.readouterr().err
