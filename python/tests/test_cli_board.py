"""The board: right period, right changes, right status, in words of either language."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest

from cadran.cli.scorecard import text
from cadran.core.targets import Status, Target
from cadran.formats import numbers, periods
from cadran.insight.scorecard import make


@pytest.mark.parametrize(
    ("until", "grain", "start"),
    [
        (date(2026, 10, 31), "month", date(2026, 10, 1)),
        (date(2026, 10, 30), "month", date(2026, 9, 1)),
        (date(2026, 10, 31), "quarter", date(2026, 7, 1)),
        (date(2026, 12, 31), "year", date(2026, 1, 1)),
        (date(2026, 11, 1), "week", date(2026, 10, 26)),
        (date(2026, 10, 31), "week", date(2026, 10, 19)),
        (date(2026, 10, 31), "day", date(2026, 10, 31)),
    ],
)
def test_a_period_is_complete_when_its_last_day_is_there(until, grain, start):
    assert periods.last_complete(until, grain) == start


def test_the_year_before_of_a_week_starts_on_a_monday_too():
    assert periods.year_before(date(2026, 10, 26), "week").weekday() == 0
    assert periods.year_before(date(2026, 10, 1), "quarter") == date(2025, 10, 1)


@pytest.mark.parametrize(
    ("value", "direction", "status"),
    [
        (100, "up", Status.ON_TARGET),
        (99, "up", Status.NEAR),
        (90, "up", Status.NEAR),
        (89, "up", Status.WARNING),
        (79, "up", Status.CRITICAL),
        (None, "up", Status.NONE),
        (100, "band", Status.NONE),
    ],
)
def test_a_status_is_named_after_the_threshold_that_was_missed(value, direction, status):
    target = Target("x", "month", date(2026, 1, 1), target=100, warning=90, critical=80)
    assert target.judge(value, direction) is status


def test_where_lower_is_better_the_thresholds_stand_above_the_target():
    target = Target("x", "month", date(2026, 1, 1), target=10, warning=12, critical=15)
    asked = [target.judge(value, "down") for value in (10, 11, 13, 16)]
    assert asked == [Status.ON_TARGET, Status.NEAR, Status.WARNING, Status.CRITICAL]


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "english", "french"),
    [
        (Decimal("1234567.5"), "EUR", 0, "€1,234,568", "1\u202f234\u202f568\xa0€"),
        (Decimal("-12.345"), "EUR", 2, "-€12.35", "-12,35\xa0€"),
        (0.12345, "%", 1, "12.3%", "12,3\u202f%"),
        (12345, "orders", 0, "12,345", "12\u202f345"),
        (5.25, "hours", 1, "5.3\xa0h", "5,3\xa0h"),
        (-0.2, "orders", 0, "0", "0"),
        (None, "EUR", 0, numbers.DASH, numbers.DASH),
        (float("nan"), "EUR", 0, numbers.DASH, numbers.DASH),
    ],
)
def test_numbers_look_as_each_language_wants(value, unit, decimals, english, french):
    assert numbers.measure(value, unit, decimals=decimals) == english
    assert numbers.measure(value, unit, decimals=decimals, lang="fr") == french


def test_amounts_change_in_percent_and_rates_in_points():
    assert numbers.change(110, 100, "EUR") == "+10.0%"
    assert numbers.change(-50, -100, "EUR") == "+50.0%"
    assert numbers.change(0.45, 0.5, "%") == "-5.0\xa0pp"
    assert numbers.change(0.99928, 0.9995, "%", decimals=3) == "-0.022\xa0pp"
    assert numbers.change(5, 0, "orders") == numbers.DASH


def test_a_sparkline_runs_from_the_least_to_the_greatest():
    assert numbers.sparkline([0, None, 7]) == "▁·█"
    assert numbers.sparkline([3, 3]) == "▅▅"
    assert numbers.sparkline([None]) == "·"


def test_the_board_shows_what_the_layer_answers(layer):
    board = make(layer)
    assert board.failures == {}
    assert board.period == date(2026, 10, 1)
    assert {row.card.name for row in board.rows} == {
        card.name for card in layer.kpis() if "month" in card.grains
    }
    for row in board.rows:
        asked = layer.query([row.card.name], "metric_time__month", start=date(2025, 10, 1),
                            end=date(2026, 10, 31)).to_arrow().to_pylist()  # fmt: skip
        found = {line["metric_time__month"]: line[row.card.name] for line in asked}
        values = [
            found.get(date(year, month, 1)) for year, month in ((2026, 10), (2026, 9), (2025, 10))
        ]
        assert [row.value, row.previous, row.year_before] == pytest.approx(values)
        assert row.history[-1] == row.value


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize("grain", ["week", "month", "quarter"])
def test_the_page_has_a_line_for_every_kpi_and_says_each_status_in_words(layer, lang, grain):
    board = make(layer, grain)
    page = text(board, lang)
    for row in board.rows:
        assert row.card.localized(lang).label in page
    assert "\x1b" not in page
    assert "\x1b[31m" in text(board, lang, is_coloured=True) or "critical" not in page


def test_the_board_as_json_is_an_array_of_objects(capsys, demo):
    from cadran.cli import main

    assert demo.returncode == 0, demo.log[-3000:]
    place = [
        "--manifest",
        str(demo.target / "semantic_manifest.json"),
        "--database",
        str(demo.database),
    ]
    assert main(["board", "net_revenue", "--format", "json", *place]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["name"] == "net_revenue"
    assert row["period"] == "2026-10-01"
    assert len(row["history"]) == 12
