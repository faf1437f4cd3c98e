"""Every faster shape answers as MetricFlow's own, for every kind of aggregate, alone and mixed."""

from __future__ import annotations

import pytest

import cadran
from cadran.core.compiler import metricflow

CUMULATIVE = [
    "amount_to_date", "amount_3_days", "amount_month_to_date", "orders_to_date", "rows_to_date",
    "buyers_to_date", "least_to_date", "greatest_3_days", "mean_to_date", "median_to_date",
    "web_to_date", "amount_to_date_per_order", "share_of_web_to_date",
]  # fmt: skip
MIXED = [
    ["amount_to_date", "rows_to_date"],
    ["amount_3_days", "orders", "mean_amount"],
    ["web_amount", "amount", "buyers", "median_amount"],
    ["least_to_date", "greatest_3_days", "buyers_to_date", "share_of_web_to_date"],
]
GROUPS = [
    ["metric_time__day"],
    ["metric_time__month"],
    ["metric_time__day", "order_id__channel"],
    ["metric_time__week", "customer__country"],
]
NARROWED = [
    {},
    {"start": "2026-01-31", "end": "2026-02-03"},
    {"where": "order_id__channel = 'web' or customer__country is null", "end": "2026-02-02"},
]


@pytest.fixture(scope="module")
def both(tiny):
    database = tiny.parents[1] / "tiny.duckdb"
    plain = cadran.open(manifest=tiny, database=database, plan_cache=False)
    mine = cadran.open(manifest=tiny, database=database, plan_cache=False)

    def ask(metrics, group_by, **narrowed):
        asked = {"metrics": metrics, "group_by": group_by, "governed": False, **narrowed}
        fast = mine.query(**asked)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(metricflow, "faster", lambda sql, *_: sql)
            slow = plain.query(**asked)
        return fast, slow

    yield ask
    mine.close()
    plain.close()


@pytest.mark.parametrize("metrics", [*([name] for name in CUMULATIVE), *MIXED], ids="-".join)
def test_the_faster_shape_answers_the_same_rows_in_the_same_types(both, metrics):
    for group_by in GROUPS:
        for narrowed in NARROWED:
            fast, slow = both(metrics, group_by, **narrowed)
            assert fast.to_arrow().equals(slow.to_arrow()), (group_by, narrowed, fast.sql)


@pytest.mark.parametrize("metrics", [["pings_to_date"], ["pings_2_hours"]], ids="-".join)
def test_ranges_on_hours_are_faster_and_equal_too(both, metrics):
    for group_by in (["metric_time__hour"], ["metric_time__day"]):
        for narrowed in ({}, {"start": "2026-02-01T01:00:00", "end": "2026-02-02"}):
            fast, slow = both(metrics, group_by, **narrowed)
            assert fast.to_arrow().equals(slow.to_arrow()), (group_by, narrowed)
    assert "GROUP BY" in fast.sql
    assert fast.sql != slow.sql


def test_a_distinct_count_is_left_as_it_is(both):
    fast, slow = both(["buyers_to_date"], ["metric_time__day"])
    assert "COUNT(DISTINCT" in fast.sql
    assert fast.sql.count("SELECT") == slow.sql.count("SELECT")
