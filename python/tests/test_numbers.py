"""Numbers that MetricFlow gives wrong without a word: right here, refused, or said."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import signal
import threading
from contextlib import nullcontext
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest

import cadran
from cadran.access.caller import LOCAL
from cadran.cli import main
from cadran.core.query.filters import read
from cadran.core.query.request import Fields
from cadran.core.warehouse.duckdb_local import answer
from cadran.errors import QueryError
from cadran.serving.service import QueryService, RequestContext
from cadran.serving.snapshots import SnapshotStore

ORDERED_AGAIN = {
    "name": "ordered_again", "expr": None, "inputs": [], "type": "conversion",
    "conversion_type_params": {
        "base_metric": {"name": "orders"}, "conversion_metric": {"name": "rows_seen"},
        "entity": "customer", "calculation": "conversions",
        "window": {"count": 7, "granularity": "day"},
    },
}  # fmt: skip


def derived(name, *inputs, expr="now - before"):
    return {
        "name": name, "type": "derived", "expr": expr,
        "inputs": [{"name": metric, "alias": alias, **more} for metric, alias, more in inputs],
    }  # fmt: skip


@pytest.fixture
def opened(tiny, tmp_path):
    """Opens the shop with more metrics, and statements run in its warehouse before."""
    layers = []

    def made(*metrics, sql=""):
        manifest = json.loads(tiny.read_text())
        shape = next(m for m in manifest["metrics"] if m["name"] == "revenue")
        for metric in metrics:
            entry = json.loads(json.dumps(shape)) | {"name": metric["name"]}
            if not metric.get("card"):
                entry["config"] = None
            rest = shape["type_params"]["metrics"][0]
            entry["type"] = metric["type"]
            entry["type_params"] |= {
                "expr": metric["expr"], "metrics": [rest | one for one in metric["inputs"]],
                "conversion_type_params": metric.get("conversion_type_params"),
            }  # fmt: skip
            manifest["metrics"].append(entry)
        path = tmp_path / "semantic_manifest.json"
        path.write_text(json.dumps(manifest))
        database = tmp_path / "tiny.duckdb"
        database.write_bytes((tiny.parents[1] / "tiny.duckdb").read_bytes())
        if sql:
            with duckdb.connect(str(database)) as connection:
                connection.execute(sql)
        layers.append(cadran.open(manifest=path, database=database))
        return layers[-1]

    yield made
    for layer in layers:
        layer.close()


MONTH_BEFORE = derived(
    "more_than_before",
    ("amount", "now", {}),
    ("amount", "before", {"offset_window": {"count": 1, "granularity": "month"}}),
)
SINCE_START = derived(
    "since_start",
    ("amount_to_date", "now", {}),
    ("amount_to_date", "before", {"offset_to_grain": "month"}),
)


def test_an_offset_of_a_month_is_asked_by_day_or_month_and_noted_by_quarter_and_week(opened):
    shop = opened(MONTH_BEFORE)
    months = shop.query("more_than_before", "metric_time__month", start="2026-02-01")
    assert [str(row["more_than_before"]) for row in months.to_arrow().to_pylist()] == ["90.90"]
    for grain in ("week", "quarter", "year"):
        note = shop.query("more_than_before", f"metric_time__{grain}").note
        assert re.search(rf"1 month back.*{grain}s.*day, month", note)


A_YEAR_BEFORE = derived(
    "growth",
    ("amount", "now", {}),
    ("amount", "before", {"offset_window": {"count": 1, "granularity": "year"}}),
    expr="now / before - 1",
)
TWO_YEARS = """
delete from shop.days;
insert into shop.days select day::date, 'any' from
    range(date '2023-01-01', date '2025-01-01', interval 1 day) t(day);
delete from shop.orders;
insert into shop.orders select 'o' || date_day, 'c1', 'web', date_day, null, 1 from shop.days;
"""


def test_no_day_is_compared_with_another_one_because_its_own_does_not_exist(opened):
    shop = opened(MONTH_BEFORE | {"card": True}, A_YEAR_BEFORE | {"card": True}, sql=TWO_YEARS)

    def by_day(metric, **between):
        rows = shop.query(metric, "metric_time__day", **between).to_arrow().to_pylist()
        return {f"{row['metric_time__day']:%m-%d}": row[metric] for row in rows}

    leap = by_day("growth", start="2024-02-28", end="2024-03-01")
    assert leap == {"02-28": 0, "02-29": None, "03-01": 0}
    march = by_day("more_than_before", start="2024-03-28", end="2024-03-31")
    assert march == {"03-28": 0, "03-29": 0, "03-30": None, "03-31": None}
    months = shop.query("growth", "metric_time__month", start="2024-02-01", end="2024-02-29")
    assert float(months.to_arrow().column("growth")[0].as_py()) == pytest.approx(29 / 28 - 1)


def test_an_offset_with_a_range_and_a_filter_is_right_on_paper(opened):
    shop, of_france = opened(MONTH_BEFORE), "customer__country = 'FR'"
    february = {"start": "2026-02-01", "end": "2026-02-10"}
    answer = shop.query("more_than_before", "metric_time__month", of_france, **february)
    assert answer.to_arrow()["more_than_before"].to_pylist() == [Decimal("70.70")]  # 80.80 - 10.10


def test_of_a_metric_without_a_card_it_is_said_that_a_day_stands_for_several(opened):
    answer = opened(MONTH_BEFORE).query("more_than_before", "metric_time__day")
    assert "a day that an earlier month lacks" in answer.note


def test_a_value_of_a_filter_that_reads_like_an_offset_stays_as_it_is(opened):
    shop = opened(MONTH_BEFORE)
    text = "a - INTERVAL 1 month = b"
    where = f"order_id__channel = '{text}'"
    assert f"'{text}'" in shop.sql("more_than_before", "metric_time__day", where=where)


def test_a_shift_to_the_start_of_a_period_takes_a_range_by_day_only(opened):
    shop = opened(SINCE_START)
    days = shop.query("since_start", "metric_time__day", start="2026-02-03", end="2026-02-03")
    assert len(days) == 1
    for grain in ("week", "month", "quarter"):
        with pytest.raises(QueryError, match="metric_time__day"):
            shop.query("since_start", f"metric_time__{grain}", start="2026-02-01")


def test_a_filter_on_a_metric_is_refused_with_a_range_that_it_would_ignore(shop):
    many = "{{ Metric('orders', group_by=['customer']) }} > 1"
    assert shop.query("orders", where=many).to_arrow().to_pylist() == [{"orders": 3}]
    with pytest.raises(QueryError, match="filter on a metric"):
        shop.query("orders", where=many, start="2026-02-01")


OF_ONE_DAY = """
insert into shop.orders values
    ('o6', 'c1', 'app', '2026-02-04', null, 1), ('o7', 'c1', 'kiosk', '2026-02-04', null, 1),
    ('o8', 'c1', 'phone', '2026-02-04', null, 1), ('o9', 'c1', 'web', '2026-02-05', null, 1);
"""


def test_a_conversion_of_several_events_of_a_day_is_the_same_in_any_order_of_rows(opened):
    answers = set()
    for order in ("order_id", "order_id desc", "channel", "channel desc"):
        sorted_rows = f"create or replace table shop.orders as from shop.orders order by {order};"
        shop = opened(ORDERED_AGAIN, sql=OF_ONE_DAY + sorted_rows)
        answers.add(str(shop.query("ordered_again", "order_id__channel").to_arrow().to_pylist()))
        shop.close()
    assert len(answers) == 1


# Ranges -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("time", ["metric_time__month", "order_id__ordered_date__month"])
def test_a_range_is_widened_to_whole_periods_under_every_name_of_the_time_and_says_so(shop, time):
    answer = shop.query("orders", time, start="2026-02-02", end="2026-02-02")
    assert [row["orders"] for row in answer.to_arrow().to_pylist()] == [3]
    assert "start 2026-02-02 was widened to 2026-02-01" in answer.note
    assert "end 2026-02-02 was widened to 2026-02-28" in answer.note


def test_a_range_of_whole_periods_or_without_a_time_has_no_note(shop):
    whole = shop.query("orders", "metric_time__month", start="2026-02-01", end="2026-02-28")
    assert whole.note == ""
    alone = shop.query("orders", start="2026-02-02", end="2026-02-03")
    assert alone.note == ""
    assert alone.to_arrow().to_pylist() == [{"orders": 1}]


def test_a_calendar_of_the_project_is_cut_at_the_range_and_says_so(shop):
    answer = shop.query("orders", "metric_time__shop_week", start="2026-01-31", end="2026-02-02")
    assert "metric_time__shop_week" in answer.note
    running = shop.query(
        "amount_to_date", "metric_time__shop_week", start="2026-01-31", end="2026-02-02"
    )
    amounts = [str(row["amount_to_date"]) for row in running.to_arrow().to_pylist()]
    assert amounts == ["30.30", "101.00"]


def test_metrics_of_other_own_grains_are_not_mixed_under_a_range_without_a_time(tiny, tmp_path):
    manifest = json.loads(tiny.read_text())
    for model in manifest["semantic_models"]:
        for dimension in model["dimensions"]:
            if dimension["name"] == "pinged_at":
                dimension["type_params"]["time_granularity"] = "month"
    path = tmp_path / "semantic_manifest.json"
    path.write_text(json.dumps(manifest))
    layer = cadran.open(manifest=path, database=tiny.parents[1] / "tiny.duckdb")
    with pytest.raises(QueryError, match="orders is known by day, pings is known by month"):
        layer.sql(["orders", "pings"], start="2026-02-02")
    assert layer.sql(["orders"], start="2026-02-02")
    assert layer.sql(["orders", "pings"], "metric_time__month", start="2026-02-02")


# Complete periods ---------------------------------------------------------------------------------


def test_a_kpi_is_complete_as_far_as_its_own_facts_reach_whatever_the_time_spine_says(
    opened, capsys
):
    longer = "insert into shop.days select day::date, 'later' from "
    shop = opened(
        sql=f"{longer} range(date '2026-02-06', date '2027-12-31', interval 1 day) t(day)"
    )
    answer = shop.query(["orders", "pings"], "metric_time__day")
    assert answer.complete_through == {"orders": dt.date(2026, 2, 3), "pings": dt.date(2026, 2, 1)}
    assert shop.last_day() == dt.date(2026, 2, 3)
    shop.close()
    project = shop.project
    where = ["--manifest", f"{project.semantic_manifest_path}", "--database", f"{project.database}"]
    assert main(["show", "revenue", "--no-sql", *where]) == 0
    assert "January 2026    €30.30" in capsys.readouterr().out


def test_the_end_of_the_data_moves_with_a_build_under_an_open_layer(opened):
    shop = opened()
    assert shop.last_day() == shop.complete_through("orders") == dt.date(2026, 2, 3)
    shop.close()
    with duckdb.connect(str(shop.project.database)) as connection:
        connection.execute(
            "update shop.orders set ordered_date = '2026-02-05' where order_id = 'o5'"
        )
    assert shop.last_day() == shop.complete_through("orders") == dt.date(2026, 2, 5)


def test_only_complete_periods_leaves_the_running_one_out(shop):
    months = shop.query("orders", "metric_time__month", complete=True).to_arrow().to_pylist()
    assert [row["orders"] for row in months] == [2]
    days = shop.query("orders", "metric_time__day", complete=True, end="2026-02-01")
    assert sum(row["orders"] for row in days.to_arrow().to_pylist()) == 4
    for asked in ({}, {"group_by": "customer__country"}):
        with pytest.raises(QueryError, match="metric_time__month"):
            shop.query("orders", complete=True, **asked)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"start": "0001-01-01T00:00+14:00"}, "no year of UTC"),
        ({"end": "9999-12-31T23:59-14:00"}, "no year of UTC"),
        ({"start": "0001-01-01", "compare": "previous"}, "give a later start"),
        ({"start": "0001-01-01", "compare": "year"}, "give a later start"),
        ({"start": "0001-01-01", "compare": "same_days"}, "give a later start"),
        ({"limit": 1 << 63}, "a whole number from 0 to 9223372036854775807"),
    ],
)
def test_what_lies_beyond_the_calendar_or_all_numbers_is_refused_in_a_sentence(
    shop, asked, sentence
):
    for groups in ("metric_time__day", ()):
        with pytest.raises(QueryError, match=sentence):
            shop.query("amount", groups, **asked)


def test_a_range_to_the_end_of_the_calendar_is_compared_as_one_without_an_end(shop):
    for last in ("9999-12-31", "9999-06-30"):
        asked = shop.query("amount", "metric_time__month", end=last, compare="previous")
        assert (
            asked.to_arrow()
            == shop.query("amount", "metric_time__month", compare="previous").to_arrow()
        )
    empty = shop.query("amount", "metric_time__year", start="9999-12-31", compare="previous")
    assert empty.to_arrow().num_rows == 0


# Values -------------------------------------------------------------------------------------------


def test_a_value_that_does_not_exist_is_told_with_those_near_it(shop):
    empty = shop.query("orders", where="customer__country = 'fr'")
    assert empty.note == "customer__country has no value 'fr'; near: 'FR'."
    assert shop.query("orders", where="customer__country = 'FR'").note == ""
    assert (
        shop.query(
            "orders", where="customer__country = 'fr'", confined=["customer__country = 'DE'"]
        ).note
        == ""
    )


def test_of_many_values_that_do_not_exist_some_are_told(shop):
    many = ", ".join(f"'{number:0300}'" for number in range(1000))
    note = shop.query("orders", where=f"customer__country in ({many})").note
    assert note.count("has no value") == 5
    assert len(note) < 1000


@pytest.mark.parametrize("name", ["more_than_before", "amount_3_days", "amount_month_to_date"])
def test_values_are_told_also_of_what_means_something_only_by_time(opened, name):
    shop = opened(MONTH_BEFORE)
    time, never = "metric_time__month", "customer__country = 'fr'"
    empty = shop.query(name, time, never, start="2026-02-01", end="2026-02-10")
    assert empty.to_arrow().num_rows == 0
    assert "customer__country has no value 'fr'; near: 'FR'." in empty.note
    assert shop.dimension_values("customer__country", name) == ["DE", "FR"]
    service = QueryService(SnapshotStore(shop.project))
    context = RequestContext(LOCAL, "rest")
    assert service.values(context, "customer__country", (name,)) == ["DE", "FR"]
    service.close()
    with pytest.raises(QueryError, match=f"{name} reads other periods .* metric_time__day"):
        shop.query(name, "customer__country")


def test_a_sum_beyond_64_bits_is_exact_and_the_others_stay_whole_numbers(opened):
    most = "update shop.pings set hits = 9223372036854775807 where ping_id <> 'p1'"
    shop = opened(sql=f"alter table shop.pings alter hits type bigint; {most}")
    table = shop.query(["pings"]).to_arrow()
    assert table["pings"].to_pylist() == [Decimal(4 * 9223372036854775807 + 1)]
    sql = "select sum(h) as big, sum(1) as two from (values (9223372036854775807), (1)) t(h)"
    assert str(shop.warehouse.arrow(sql).schema.field("two").type) == "int64"


def test_a_sum_beyond_64_bits_is_exact_in_plain_sql_over_kpi_tables_too():
    rows = {"big": pa.table({"n": [9223372036854775807, 1], "d": [Decimal(1), Decimal(2)]})}
    sql = "select sum(n) as big, count(*) as two from kpis.big"
    table = answer(sql, rows, schema="kpis", megabytes=64, stopper=lambda _: nullcontext())
    assert table.to_pylist() == [{"big": Decimal(2**63), "two": 2}]
    assert str(table.schema.field("two").type) == "int64"


def test_a_total_over_no_rows_is_null_whatever_it_counts(shop):
    nobody = "customer__country = 'XX'"
    metrics = ["buyers", "orders", "revenue", "mean_amount", "rows_seen", "buyers_to_date"]
    table = shop.query(metrics, where=nobody).to_arrow()
    assert table.to_pylist() == [dict.fromkeys(metrics)]
    assert shop.query("buyers", where="customer__country = 'FR'").to_arrow().to_pylist() == [
        {"buyers": 1}
    ]


def test_a_signal_in_a_statement_is_an_interrupt_and_no_error(shop):
    # A shell ignores the signal for what it starts in the background, and a child inherits that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            shop.warehouse.arrow(
                "select count(*) from range(100000) a, range(100000) b where a.range <> b.range"
            )
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)


def test_a_name_over_two_entities_is_read_as_metricflow_writes_it():
    fields = Fields(
        entities=frozenset({"listing", "user"}), times=frozenset({"metric_time", "joined"})
    )
    plain = read("listing__user__home_state_latest = 'CA'", fields)
    assert plain.template == (
        "{{ Dimension('user__home_state_latest', entity_path=['listing']) }} = 'CA'"
    )
    assert plain.groups[0].name == "listing__user__home_state_latest"
    time = read("listing__user__joined__month = '2026-01-01'", fields)
    assert "TimeDimension('user__joined', 'month', entity_path=['listing'])" in time.template
