"""Questions are answered from pre-aggregates where that is exact, and from facts where not."""

from __future__ import annotations

import datetime as dt
import json
import shutil

import duckdb
import preaggregated
import pytest

import cadran
from cadran.audit.log import Entry
from cadran.core.layer import open_layer
from cadran.core.query.request import ask
from cadran.core.semantics import preaggregates
from cadran.core.semantics.coverage import Coverage
from cadran.errors import CardError
from cadran.governance import kpi_tables, suggestions

NIGHT = dt.datetime(2026, 2, 10, 2)  # noqa: DTZ001 - as the marks have it, UTC


@pytest.fixture(scope="module")
def sides(tiny, tmp_path_factory):
    """The shop of five orders with pre-aggregates of its facts by three grains, and without."""
    database = tmp_path_factory.mktemp("preaggregated") / "tiny.duckdb"
    shutil.copyfile(tiny.parents[1] / "tiny.duckdb", database)
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            "insert into shop.orders values"
            " ('o6', null, null, '2026-02-02', null, 60.60),"
            " ('o7', 'c9', 'web', '2026-02-04', null, null),"
            " ('o8', 'c2', 'app', null, null, 80.80);"
            "insert into shop.orders select 'p' || i, 'c1', 'web',"
            " date '2026-02-03' + cast(i % 3 as integer), null, i from range(40) as t (i)"
        )
    return preaggregated.pair(tiny, database)


EXACT = [
    {"metrics": ["revenue"], "group_by": ["metric_time__month"]},
    {"metrics": ["amount", "orders", "least_amount", "greatest_amount"],
     "group_by": ["metric_time__week", "order_id__channel", "customer__country"]},
    {"metrics": ["amount_per_order"], "group_by": ["metric_time__quarter"]},
    # Members that are NULL, of the order's own and of a customer that is not there.
    {"metrics": ["amount"], "group_by": ["customer__country"]},
    {"metrics": ["amount"], "where": ["order_id__channel is null"]},
    {"metrics": ["amount"], "where": ["customer__country <> 'FR'"]},
    # A filter within a definition, whose groups without such rows stay away.
    {"metrics": ["web_amount"], "group_by": ["customer__country"]},
    {"metrics": ["web_amount", "orders"], "group_by": ["metric_time__day"]},
    # A quote in a value, and a value that looks like a column of the second manifest.
    {"metrics": ["amount"], "where": ["order_id__channel = 'café ☕ '''"]},
    {"metrics": ["orders"], "where": ["order_id__channel <> 'preaggregate__key_0'"]},
    # Ranges that begin and end inside weeks and months, with and without a time.
    {"metrics": ["amount"], "group_by": ["metric_time__week"],
     "start": "2026-01-31", "end": "2026-02-03"},
    {"metrics": ["amount"], "start": "2026-01-31", "end": "2026-02-01"},
    {"metrics": ["amount"], "where": ["metric_time__day >= '2026-02-01'"]},
    {"metrics": ["amount"], "group_by": ["metric_time__day"], "limit": 2,
     "order_by": ["-metric_time__day"]},
    {"metrics": ["amount"], "group_by": [cadran.GroupBy("metric_time", date_part="dow")]},
    {"metrics": ["amount"], "group_by": ["metric_time__shop_week"]},
    # What reads other periods.
    {"metrics": ["amount_to_date"], "group_by": ["metric_time__day"]},
    {"metrics": ["amount_3_days", "greatest_3_days"],
     "group_by": ["metric_time__day", "order_id__channel"]},
    {"metrics": ["amount_month_to_date"], "group_by": ["metric_time__week"]},
    {"metrics": ["share_of_web_to_date"], "group_by": ["metric_time__month"]},
    # A fact by the hour.
    {"metrics": ["pings"], "group_by": ["metric_time__day"],
     "start": "2026-02-01", "end": "2026-02-01"},
    {"metrics": ["pings", "amount"], "group_by": ["metric_time__month"]},
    # Rows that a policy lets somebody see.
    {"metrics": ["amount"], "group_by": ["metric_time__month"],
     "confined": ["customer__country = 'FR'"]},
]  # fmt: skip


@pytest.mark.parametrize("asked", EXACT, ids=range(len(EXACT)))
def test_what_a_pre_aggregate_answers_is_what_the_fact_answers(asked, sides):
    routed, plain = sides
    ours = routed.query(**asked, governed=False)
    theirs = plain.query(**asked, governed=False)
    assert ours.source.startswith("pre-aggregate"), routed.route(ask(**asked, governed=False))
    assert ours.to_arrow().equals(theirs.to_arrow())
    assert ours.sql != theirs.sql


REFUSED = [
    ({"metrics": ["buyers"]}, "count_distinct"),
    ({"metrics": ["mean_amount"]}, "average"),
    ({"metrics": ["median_amount"]}, "median"),
    ({"metrics": ["amount", "buyers"], "group_by": ["metric_time__month"]}, "count_distinct"),
    ({"metrics": ["pings"], "group_by": ["metric_time__hour"]}, "hours are not made of whole days"),
    ({"metrics": ["pings_to_date"], "group_by": ["metric_time__day"]}, "reads other periods"),
    ({"metrics": ["pings"], "start": "2026-02-01T01:00", "end": "2026-02-01T23:00"}, "range"),
    ({"metrics": ["amount"], "group_by": ["order_id__shipped_date__month"]}, "it is not by"),
    ({"metrics": ["amount"], "where": ["{{ Metric('orders', ['customer']) }} > 1"]}, "many rows"),
    ({"metrics": ["amount"], "where": ["{{ Entity('customer') }} = 'c1'"]}, "many rows"),
    ({"metrics": ["amount"], "where": ["metric_time__day = '2026-02-01 10:00'"]}, "than a time"),
    ({"metrics": ["amount"], "confined": ["order_id__shipped_date is null"]}, "it is not by"),
]


@pytest.mark.parametrize(("asked", "why"), REFUSED, ids=range(len(REFUSED)))
def test_what_it_cannot_answer_exactly_is_read_from_the_fact(asked, why, sides):
    routed, plain = sides
    route = routed.route(ask(**asked, governed=False))
    assert "pre-aggregate" not in route.source
    assert why in " ".join(route.reasons)
    theirs = plain.query(**asked, governed=False).to_arrow()
    assert routed.query(**asked, governed=False).to_arrow().equals(theirs)


def test_a_week_is_not_in_a_month_nor_a_month_in_a_week(sides):
    routed, _ = sides
    by = {item.grain: item for item in routed.router.preaggregates if item.fact.model == "orders"}
    coverage = Coverage(routed)

    def why_not(grain, group, **more):
        return coverage.why_not(ask("amount", group, governed=False, **more), ["amount"], by[grain])

    assert not why_not("week", "metric_time__week")
    assert not why_not("month", "metric_time__quarter")
    assert "months are not made of whole weeks" in why_not("week", "metric_time__month")
    assert "weeks are not made of whole months" in why_not("month", "metric_time__week")
    assert not why_not("month", (), start="2026-01-01", end="2026-02-28")
    for start, end in (("2026-01-02", "2026-02-28"), ("2026-01-01", "2026-02-27")):
        assert "where the range does" in why_not("month", (), start=start, end=end)
    # By a month the range is widened to whole ones.
    assert not why_not("month", "metric_time__month", start="2026-01-02", end="2026-02-27")


def test_the_one_with_fewest_rows_is_read(sides):
    routed, _ = sides
    result = routed.query("amount", "metric_time__month", governed=False)
    assert result.source == "pre-aggregate orders_ordered_date_by_month"
    week = routed.query("amount", "metric_time__week", governed=False)
    assert week.source == "pre-aggregate orders_ordered_date_by_week"


def test_random_questions_have_the_same_rows_with_and_without(sides):
    differences = []
    counts = preaggregated.ask_all([sides], 14, 5, differences.append)
    assert differences == []
    assert counts["routed"] > 2


def test_rows_that_landed_since_the_build_are_never_left_out(sides, monkeypatch):
    routed, _ = sides
    landed = NIGHT.replace(tzinfo=dt.UTC)
    monkeypatch.setattr(type(routed.warehouse), "watermark", lambda *_: landed)
    result = routed.query("amount", "metric_time__month", governed=False)
    assert result.source == "orders"
    assert "landed since the build" in routed.route(ask("amount", "metric_time__month")).reasons[-1]


# What is built -----------------------------------------------------------------------------------


FACT, CUSTOMERS = "model.tiny.orders", "model.tiny.customers"
OWN, TEST = "model.tiny.orders_by_day", "test.tiny.counts_rows_of_orders"
QUERY = {
    "metrics": ["revenue", "amount_per_order", "web_amount"],
    "group_by": ["TimeDimension('metric_time', 'day')", "Dimension('customer__country')"],
    "where": None, "order_by": [], "limit": None,
}  # fmt: skip


@pytest.fixture
def built(marked, tmp_path):
    """A project whose pre-aggregate dbt built after its tables; its layer, anew each time."""
    shutil.copytree(marked, tmp_path, dirs_exist_ok=True, copy_function=shutil.copy2)
    return lambda: _opened(tmp_path / "target", tmp_path / "tiny.duckdb")


@pytest.fixture(scope="module")
def marked(tiny, tmp_path_factory):
    """The folder that `built` copies, with the plans of what is asked."""
    folder = tmp_path_factory.mktemp("marked")
    target = folder / "target"
    shutil.copytree(tiny.parent, target, ignore=shutil.ignore_patterns("cadran"))
    database = folder / "tiny.duckdb"
    shutil.copyfile(tiny.parents[1] / "tiny.duckdb", database)
    semantic = json.loads((target / "semantic_manifest.json").read_text())
    saved = {"name": "orders_by_day", "query_params": QUERY, "description": None, "label": None}
    semantic["saved_queries"].append({**saved, "metadata": None, "exports": [], "tags": []})
    (target / "semantic_manifest.json").write_text(json.dumps(semantic))
    manifest = json.loads((target / "manifest.json").read_text())
    manifest["saved_queries"]["saved_query.tiny.orders_by_day"] = saved | {
        "config": {"meta": {"table": {"preaggregate": True}}}, "package_name": "tiny",
        "original_file_path": "metrics/shop.yml", "path": "shop.yml",
        "resource_type": "saved_query",
    }  # fmt: skip
    (target / "manifest.json").write_text(json.dumps(manifest))
    layer = _opened(target, database)
    [table] = [t for t in kpi_tables.tables(layer) if t.path.name == "orders_by_day"]
    item = preaggregates.of(layer, preaggregates.marked(layer)[0])
    made = preaggregates.sql_of(layer, item)
    layer.close()
    manifest["nodes"] |= {
        OWN: {
            "unique_id": OWN, "name": "orders_by_day", "resource_type": "model",
            "fqn": ["tiny", "preaggregates", "orders_by_day"], "package_name": "tiny",
            "raw_code": table.sql, "checksum": {"checksum": "of this file"},
            "alias": "orders_by_day", "schema": "shop", "database": "tiny",
            "relation_name": '"tiny"."shop"."orders_by_day"',
            "depends_on": {"nodes": [FACT, CUSTOMERS]}, "config": {"materialized": "table"},
        },
        TEST: {"unique_id": TEST, "resource_type": "test", "depends_on": {"nodes": [OWN]}},
    }  # fmt: skip
    for name in (FACT, CUSTOMERS):
        manifest["nodes"][name]["config"]["materialized"] = "table"
    (target / "manifest.json").write_text(json.dumps(manifest))
    rows = [(FACT, 0, 1), (CUSTOMERS, 0, 2), (OWN, 2, 3)]
    values = ", ".join(
        f"('{name}', timestamp '{NIGHT + dt.timedelta(minutes=began)}',"
        f" timestamp '{NIGHT + dt.timedelta(minutes=ended)}', 'of this file')"
        for name, began, ended in rows
    )
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            f"create table shop.orders_by_day as {made}; create schema governance;"
            "create table governance.build_times (unique_id text, began_at timestamp,"
            " ended_at timestamp, checksum text);"
            f"insert into governance.build_times values {values};"
            "create table governance.build_pending (unique_id text, state text)"
        )
    assert _source(_opened(target, database))[0] == "pre-aggregate orders_by_day"
    return folder


def _opened(target, database):
    return open_layer(manifest=target / "semantic_manifest.json", database=database)


def _source(layer, *statements):
    """What a question reads once these statements were run; and what is said of it."""
    path = layer.warehouse.path
    layer.close()
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    result = layer.query("revenue", "metric_time__month")
    return result.source, " ".join(layer.route(ask("revenue", "metric_time__month")).reasons)


def test_it_is_read_while_it_was_built_after_each_table_behind_it(built):
    layer = built()
    assert _source(layer)[0] == "pre-aggregate orders_by_day"
    assert layer.query("revenue").to_arrow().to_pylist() == [{"revenue": pytest.approx(151.5)}]
    assert open_layer(
        manifest=layer.project.semantic_manifest_path, database=layer.warehouse.path,
        is_routed=False,
    ).query("revenue").source == ""  # fmt: skip


LATER = f"timestamp '{NIGHT + dt.timedelta(hours=1)}'"
OUTDATED = {
    "the fact alone was built": (
        f"update governance.build_times set ended_at = {LATER} where unique_id = '{FACT}'",
        "older than orders",
    ),
    "a dimension alone was built": (
        f"update governance.build_times set ended_at = {LATER} where unique_id = '{CUSTOMERS}'",
        "older than customers",
    ),
    "it was never marked": (
        f"delete from governance.build_times where unique_id = '{OWN}'",
        "no build has marked",
    ),
    "its tables were never marked": (
        f"delete from governance.build_times where unique_id = '{FACT}'",
        "older than orders",
    ),
    "marks are from another project": ("drop table governance.build_times", "no build has marked"),
    "it was built of an older file": (
        f"update governance.build_times set checksum = 'older' where unique_id = '{OWN}'",
        "another definition",
    ),
    "a build was killed in the fact": (
        f"insert into governance.build_pending values ('{FACT}', 'building')",
        "did not end well",
    ),
    "its own test failed": (
        f"insert into governance.build_pending values ('{TEST}', 'failed')",
        "did not end well",
    ),
    "rows came without dbt": (
        "insert into shop.orders values ('o9', 'c1', 'web', '2026-02-03', null, 1)",
        "does not hold what its tables give now",
    ),
    "an amount was changed without dbt": (
        "update shop.orders set amount = amount + 1 where order_id = 'o1'",
        "does not hold what its tables give now",
    ),
    "a member went to another group without dbt": (
        "update shop.orders set channel = 'shop' where order_id = 'o1'",
        "does not hold what its tables give now",
    ),
    "the table is gone": ("drop table shop.orders_by_day", "cannot be read"),
    "times are of a zone": (
        "alter table shop.orders alter ordered_date type timestamptz",
        "whose days depend on a zone",
    ),
}


@pytest.mark.parametrize("name", OUTDATED)
def test_it_is_not_read_when(name, built):
    statement, why = OUTDATED[name]
    layer = built()
    source, reasons = _source(layer, statement)
    assert source == "orders"
    assert why in reasons


def test_it_is_not_read_when_a_dimension_doubles_rows_of_the_fact(built):
    layer = built()
    made = preaggregates.sql_of(layer, layer.router.preaggregates[0])
    source, reasons = _source(
        layer,
        "insert into shop.customers select * replace ('XX' as country) from shop.customers"
        " where customer_id = 'c1'",
        f"create or replace table shop.orders_by_day as {made}",
    )
    assert source == "orders"
    assert "a dimension has several rows for one of the fact" in reasons


def test_what_was_seen_of_a_state_is_never_told_of_a_later_one(built, monkeypatch):
    layer, stamps = built(), ["first"]
    router = layer.router
    (item,) = router.preaggregates
    monkeypatch.setattr(type(layer.warehouse), "stamp", lambda _: stamps[-1])

    def overtaken(item, seen):
        if len(stamps) == 1:  # a build ends, and another thread looks, before this one is done
            stamps.append("second")
            assert router._state(item) == "second"
        return seen.stamp

    monkeypatch.setattr(router, "_observed", overtaken)
    assert router._state(item) == "first"
    assert router._state(item) == "second"


def test_sums_of_floating_point_numbers_are_not_summed_again(built):
    layer = built()
    source, reasons = _source(layer, "alter table shop.orders_by_day alter amount type double")
    assert source == "orders"
    assert "floating-point" in reasons
    assert layer.query("orders").source == "pre-aggregate orders_by_day"


def test_a_model_that_is_not_what_the_definitions_say_is_not_read(built):
    layer = built()
    path = layer.project.semantic_manifest_path.with_name("manifest.json")
    manifest = json.loads(path.read_text())
    manifest["nodes"][OWN]["raw_code"] = manifest["nodes"][OWN]["raw_code"].replace("SUM", "MAX")
    path.write_text(json.dumps(manifest))
    source, reasons = _source(built())
    assert source == "orders"
    assert "run `cadran tables`" in reasons


def test_its_model_has_additive_components_documents_and_tests(built):
    layer = built()
    [table] = [t for t in kpi_tables.tables(layer) if t.path.name == "orders_by_day"]
    assert table.path.as_posix() == "models/preaggregates/orders_by_day"
    assert "ref('orders')" in table.sql
    assert "ref('customers')" in table.sql
    assert "AVG" not in table.sql
    for name in ("metric_time__day", "customer__country", "order_id__channel", "amount", "orders"):
        assert f"- name: {name}\n" in table.documentation
    # The filter of web_amount names the channel, so the channel is there to be filtered by.
    assert "WHERE" not in table.sql


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"metrics": ["buyers"]}, "none of its metrics is a sum"),
        ({"metrics": ["amount", "pings"]}, "a pre-aggregate of its own"),
        ({"group_by": ["TimeDimension('metric_time', 'hour')"]}, "at one grain of day"),
        ({"group_by": ["Dimension('customer__country')"]}, "at one grain of day"),
        ({"group_by": [*QUERY["group_by"], "Entity('customer')"]}, "no categorical dimension"),
        ({"limit": 3}, "takes no where, order_by or limit"),
    ],
)
def test_a_saved_query_that_can_be_none_is_refused_in_a_sentence(change, why, built):
    layer = built()
    path = layer.project.semantic_manifest_path
    semantic = json.loads(path.read_text())
    semantic["saved_queries"][-1]["query_params"] |= change
    path.write_text(json.dumps(semantic))
    layer = built()
    with pytest.raises(CardError, match=why):
        preaggregates.of(layer, preaggregates.marked(layer)[0])
    assert layer.query("revenue").source == "orders"


def test_suggestions_are_what_recorded_questions_would_have_been_read_from(sides):
    _, plain = sides
    question = Entry(
        "ada", "rest", "query", ("revenue@3",), ("metric_time__month", "order_id__channel"),
        ("customer__country = 'FR'",), seconds=2.0,
    )  # fmt: skip
    others = [
        Entry("ada", "rest", "query", ("buyers",), ("metric_time__month",), seconds=9.0),
        Entry("ada", "rest", "query", ("gone",), (), seconds=9.0),
        Entry("ada", "rest", "query", ("revenue@3",), (), outcome="refused", seconds=9.0),
        Entry("ada", "rest", "query", ("revenue@3",), (), cached=True, seconds=9.0),
        Entry("cadran", "warm-up", "query", ("revenue@3",), (), seconds=9.0),
    ]
    [found] = suggestions.suggested(plain, [question, question, *others])
    assert (found.fact, found.questions, found.seconds) == ("orders", 2, 4.0)
    assert found.dimensions == ("customer__country", "order_id__channel")
    assert found.fact_rows == 48
    assert found.saved == pytest.approx(4.0 * (1 - found.rows / 48))
    assert "preaggregate: true" in found.yaml
    assert "(estimated by rows)" in found.yaml
    assert "(counted)" in found.yaml
    assert suggestions.suggested(plain, [question], least_saved=0.99) == []
