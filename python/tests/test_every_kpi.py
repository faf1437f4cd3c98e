"""Every KPI answers at all the grains and by all the dimensions of its card, and adds up."""

from __future__ import annotations

from decimal import Decimal

import pytest

SUB_DAILY = {"minute", "hour"}


@pytest.fixture(scope="module")
def cards(layer):
    return layer.kpis()


def test_there_are_five_to_ten_strategic_kpis_and_operational_ones_for_each_team(cards):
    strategic = [card.name for card in cards if card.tier == "strategic"]
    assert 5 <= len(strategic) <= 10
    teams = {card.scope for card in cards if card.tier == "operational"}
    assert {"commerce", "support", "platform"} <= teams


def test_every_kpi_answers_at_every_grain_and_by_every_dimension_of_its_card(layer, cards):
    # Each grain alone and each dimension by some grain; all their pairs are asked at random
    # elsewhere (`make test-random`).
    failures = []
    for card in cards:
        grains = [grain for grain in card.grains if grain not in SUB_DAILY] or card.grains
        pairs = [(grain, None) for grain in card.grains]
        pairs += [(grains[i % len(grains)], name) for i, name in enumerate(card.dimensions)]
        for grain, dimension in pairs:
            # A month holds more minutes than a reader would ask for at once.
            asked = {"start": "2026-10-05", "end": "2026-10-06"} if grain in SUB_DAILY else {}
            group_by = [f"metric_time__{grain}"] + ([dimension] if dimension else [])
            try:
                table = layer.query([card.name], group_by=group_by, **asked).to_arrow()
            except Exception as error:  # noqa: BLE001 - every failure is to be listed
                failures.append((card.name, group_by, str(error)[:120]))
                continue
            if table.num_rows == 0 or table.column_names != [*group_by, card.name]:
                failures.append((card.name, group_by, f"{table.num_rows} rows"))
    assert failures == []


def test_an_additive_kpi_is_the_sum_of_its_members_and_of_its_months(layer, cards):
    wrong = []
    for card in (card for card in cards if card.additivity == "additive"):
        months = layer.query([card.name], group_by=["metric_time__month"]).to_arrow()
        total = sum(Decimal(str(v)) for v in months[card.name].to_pylist() if v is not None)
        assert total != 0
        for group_by in [["metric_time__year"], *([dimension] for dimension in card.dimensions)]:
            parts = layer.query([card.name], group_by=group_by).to_arrow()
            summed = sum(Decimal(str(v)) for v in parts[card.name].to_pylist() if v is not None)
            if summed != total:
                wrong.append((card.name, group_by, summed, total))
    assert wrong == []


def test_counts_are_integers_and_money_is_decimal(layer, cards):
    for card in cards:
        kind = str(
            layer.query([card.name], group_by=["metric_time__month"]).to_arrow()[card.name].type
        )
        if card.additivity == "additive" and card.unit == "EUR":
            assert kind.startswith("decimal128"), (card.name, kind)
        elif card.additivity == "additive":
            assert kind == "int64", (card.name, kind)


def test_the_last_day_of_a_range_is_whole_for_telemetry_by_the_minute(layer, raw):
    asked = {"start": "2026-10-05", "end": "2026-10-06"}
    counted = raw.execute(
        "select sum(request_count) from telemetry.requests"
        " where minute_at >= timestamp '2026-10-05' and minute_at < timestamp '2026-10-07'"
    ).fetchone()[0]
    for group_by in ([], ["metric_time__hour"], ["metric_time__day"], ["service__team"]):
        answer = layer.query(["request_count"], group_by=group_by, **asked).to_arrow()
        assert sum(answer["request_count"].to_pylist()) == counted, group_by
