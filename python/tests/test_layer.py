"""Answers, their order and their types, on a shop of five orders."""

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal

import pyarrow as pa
import pytest

import cadran
from cadran.core.warehouse.duckdb import Session

D = dt.date


def rows(result):
    return [tuple(row.values()) for row in result.to_arrow().to_pylist()]


def test_a_kpi_by_month_is_a_date_and_an_exact_decimal(shop):
    result = shop.query(["revenue"], ["metric_time__month"])
    assert rows(result) == [(D(2026, 1, 1), Decimal("30.30")), (D(2026, 2, 1), Decimal("121.20"))]
    schema = result.to_arrow().schema
    assert schema.field("metric_time__month").type == pa.date32()
    assert pa.types.is_decimal(schema.field("revenue").type)


def test_a_count_is_int64_and_an_hour_a_timestamp(shop):
    schema = shop.query(["pings"], ["metric_time__hour"]).to_arrow().schema
    assert schema.field("pings").type == pa.int64()
    assert schema.field("metric_time__hour").type == pa.timestamp("us")


def test_rows_come_by_time_then_dimensions_with_null_last(shop):
    result = shop.query(["orders"], ["customer__country", "metric_time__month"])
    assert result.columns == ["customer__country", "metric_time__month", "orders"]
    assert rows(result) == [
        ("DE", D(2026, 1, 1), 1), ("FR", D(2026, 1, 1), 1),
        ("FR", D(2026, 2, 1), 2), (None, D(2026, 2, 1), 1),
    ]  # fmt: skip


def test_an_order_asked_for_is_kept_and_cut_by_the_limit(shop):
    result = shop.query(["orders"], ["order_id__channel"], order_by=["-orders"], limit=1)
    assert rows(result) == [("web", 3)]


def test_the_default_order_holds_under_a_limit(shop):
    assert rows(shop.query(["orders"], ["metric_time__day"], limit=1)) == [(D(2026, 1, 30), 1)]


def test_limit_zero_answers_no_row_with_the_right_columns_and_types(shop):
    some = shop.query(["revenue", "orders"], ["metric_time__month"], governed=False)
    none = shop.query(["revenue", "orders"], ["metric_time__month"], limit=0, governed=False)
    assert len(none) == 0
    assert none.to_arrow().schema == some.to_arrow().schema


def test_an_answer_without_rows_keeps_its_columns(shop):
    result = shop.query(["orders"], ["metric_time__day"], where="order_id__channel = 'none'")
    assert len(result) == 0
    assert result.columns == ["metric_time__day", "orders"]


def test_a_range_holds_both_its_ends(shop):
    result = shop.query(["orders"], start="2026-01-31", end=D(2026, 2, 1))
    assert rows(result) == [(3,)]


def test_a_date_that_ends_a_range_holds_its_last_hour(shop):
    result = shop.query(["pings"], ["metric_time__hour"], start="2026-02-01", end="2026-02-01")
    assert [n for _, n in rows(result)] == [1, 6, 8]
    until_one = shop.query(["pings"], start="2026-02-01", end="2026-02-01T01:00:00")
    assert rows(until_one) == [(7,)]


def test_a_time_with_a_zone_is_read_in_utc(shop):
    paris = dt.timezone(dt.timedelta(hours=1))
    start = dt.datetime(2026, 2, 2, 1, tzinfo=paris)
    assert rows(shop.query(["pings"], start=start)) == [(16,)]


@pytest.mark.parametrize(
    "where",
    [
        "order_id__channel = 'café ☕ '''",
        "{{ Dimension('order_id__channel') }} = 'café ☕ '''",
        ["order_id__channel like '%☕%'", "metric_time >= '2026-01-01'"],
    ],
)
def test_unicode_and_quotes_pass_through_a_filter(shop, where):
    assert rows(shop.query(["orders"], where=where)) == [(1,)]


def test_a_plain_name_and_its_template_are_the_same_filter(shop):
    plain = shop.sql(["orders"], where="customer__country = 'FR'")
    assert plain == shop.sql(["orders"], where="{{ Dimension('customer__country') }} = 'FR'")


def test_a_custom_grain_and_a_date_part_are_asked_like_others(shop):
    assert len(shop.query(["orders"], ["metric_time__shop_week"])) == 2
    by_year = shop.query(["orders"], [cadran.GroupBy("metric_time", date_part="year")])
    assert rows(by_year) == [(2026, 5)]


def test_a_saved_query_is_answered_and_added_to(shop):
    assert rows(shop.query(saved_query="by_channel")) == [
        (D(2026, 2, 1), "web", Decimal("50.50")), (D(2026, 2, 1), "app", Decimal("30.30")),
    ]  # fmt: skip
    web = shop.query(saved_query="by_channel", where="order_id__channel = 'app'", limit=5)
    assert rows(web) == [(D(2026, 2, 1), "app", Decimal("30.30"))]


def test_the_values_of_a_dimension_come_sorted_without_null(shop):
    assert shop.dimension_values("customer__country", metrics=["orders"]) == ["DE", "FR"]


def test_the_range_of_a_dimension_can_be_asked_alone(shop):
    result = shop.query(group_by=["order_id__ordered_date"], min_max_only=True)
    assert rows(result) == [(D(2026, 1, 30), D(2026, 2, 3))]


def test_sql_runs_nothing_and_is_what_query_runs(tiny, tmp_path):
    absent = cadran.open(manifest=tiny, database=tmp_path / "absent.duckdb")
    sql = absent.sql(["orders"], ["metric_time__day"])
    assert "GROUP BY" in sql.upper()
    with pytest.raises(cadran.WarehouseError, match="dbt build"):
        absent.query(["orders"], ["metric_time__day"])


class Counted:
    """Rows of which DuckDB asks the columns each time that a statement over them is bound."""

    def __init__(self, table):
        self.table, self.bound = table, 0

    def __arrow_c_schema__(self):
        self.bound += 1
        return self.table.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def test_a_question_is_bound_once(shop, monkeypatch):
    asked = {"metrics": ["revenue", "orders"], "group_by": ["metric_time__month"]}
    right, real = shop.query(**asked), shop.warehouse.arrow
    models = shop.project.semantic_manifest["semantic_models"]
    orders = next(m["node_relation"]["relation_name"] for m in models if m["name"] == "orders")
    counted = Counted(real(f"select * from {orders}"))
    with Session(shop.warehouse._cursor()).table("counted", counted):
        counted.bound = 0

        def over_counted(sql, *more):
            return real(sql.replace(orders, "counted"), *more)

        monkeypatch.setattr(shop.warehouse, "arrow", over_counted)
        assert rows(shop.query(**asked)) == rows(right)
    assert counted.bound == 1


def test_threads_share_a_layer(shop):
    found, expected = [], rows(shop.query(["orders"], ["metric_time__day"]))

    def ask(number):
        limited = shop.query(["orders"], ["metric_time__day"], limit=100 + number)
        found.append(rows(limited) == expected)

    threads = [threading.Thread(target=ask, args=(n % 3,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 12


def test_hidden_metrics_are_not_listed_but_can_be_asked(shop):
    assert "amount" not in [metric["name"] for metric in shop.metrics()]
    assert rows(shop.query(["amount"])) == [(Decimal("151.50"),)]


def test_cumulative_metrics_are_right_on_paper(shop):
    result = shop.query(
        ["amount_to_date", "amount_3_days", "amount_month_to_date", "buyers_to_date"],
        ["metric_time__day"], start="2026-01-31", end="2026-02-03",
    )  # fmt: skip
    assert rows(result) == [
        (D(2026, 1, 31), Decimal("30.30"), Decimal("30.30"), Decimal("30.30"), 2),
        (D(2026, 2, 1), Decimal("101.00"), Decimal("101.00"), Decimal("70.70"), 3),
        (D(2026, 2, 2), Decimal("101.00"), Decimal("90.90"), Decimal("70.70"), 3),
        (D(2026, 2, 3), Decimal("151.50"), Decimal("121.20"), Decimal("121.20"), 3),
    ]


def test_a_name_is_the_same_in_capitals_as_metricflow_has_it(layer):
    question = {"start": "2026-10-03", "end": "2026-10-05"}
    for metric in ("net_revenue", "order_net_amount"):
        small, capital = (
            layer.query([metric], [time], **question).to_arrow()
            for time in ("metric_time__month", "METRIC_TIME__MONTH")
        )
        assert small.equals(capital)
        assert small.column_names == ["metric_time__month", metric]
