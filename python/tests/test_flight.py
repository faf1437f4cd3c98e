"""Flight SQL, asked by the clients that people use: dbt's SDK and ADBC."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from adbc_driver_manager import Error, NotSupportedError
from flight_clients import TABLES, connect

from cadran.server.flight.rows import BATCH_ROWS

pytest_plugins = ["flight_fixtures"]

_SDK = """
import asyncio, json, sys
from dbtsl import OrderByGroupBy, OrderByMetric, SemanticLayerClient
from dbtsl.asyncio import AsyncSemanticLayerClient
from dbtsl.error import AuthError, QueryFailedError
from dbtsl.api.shared.query_params import GroupByParam, GroupByType

token = sys.argv[1]
def client(kind=SemanticLayerClient, token=token, **more):
    return kind(environment_id=17, auth_token=token, host="127.0.0.1:9", **more)

asked = {
    "metrics": ["net_revenue", "order_count"],
    "group_by": [GroupByParam("metric_time", GroupByType.TIME_DIMENSION, "MONTH"),
                 "order_id__channel"],
    "where": ["{{ Dimension('order_id__channel') }} = 'web'"],
    "order_by": [OrderByGroupBy("metric_time", "month", descending=True)],
    "limit": 4,
}
found = {}
def rows(table):
    return [{k: str(v) for k, v in row.items()} for row in table.to_pylist()]
def failure(call):
    try:
        call()
    except (AuthError, QueryFailedError) as problem:
        return [type(problem).__name__, str(problem)]

for name, lazy in (("sync", False), ("lazy", True)):
    one = client(lazy=lazy)
    with one.session():
        found[name] = rows(one.query(**asked))
        found[name + " values"] = rows(
            one.dimension_values(metrics=["net_revenue"], group_by="order_id__channel"))
        found[name + " saved"] = rows(one.query(
            saved_query="kpi_monthly_strategic", limit=2, read_cache=False,
            order_by=[OrderByMetric("net_revenue", descending=True)]))
        found[name + " by name"] = rows(one.query(
            metrics=["net_revenue"], group_by=["metric_time__year"], order_by=["-net_revenue"]))
        found[name + " unknown"] = failure(lambda: one.query(metrics=["net_revenu"]))
one = client(token="not-" + token)
with one.session():
    found["token"] = failure(lambda: one.query(metrics=["net_revenue"]))

async def later():
    one = client(AsyncSemanticLayerClient)
    async with one.session():
        found["async"] = rows(await one.query(**asked))
        found["async values"] = rows(await one.dimension_values(
            metrics=["net_revenue"], group_by="order_id__channel"))
        try:
            await one.query(metrics=["net_revenu"])
        except QueryFailedError as problem:
            found["async unknown"] = [type(problem).__name__, str(problem)]
asyncio.run(later())
print(json.dumps(found))
"""


def test_dbts_sdk_asks_unchanged_and_gets_the_layers_numbers(guarded_flight, layer, monkeypatch):
    certificate = guarded_flight.server_context.settings.tls[0]
    monkeypatch.setenv("DBT_SL_GRAPHQL_URL_FORMAT", "http://{server_host}/api/graphql")
    monkeypatch.setenv("DBT_SL_ADBC_URL_FORMAT", guarded_flight.flight)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    command = [sys.executable, "-W", "ignore", "-c", _SDK, "for-alice"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)

    def rows(*arguments, **named):
        table = layer.query(*arguments, **named).to_arrow()
        return [{key: str(value) for key, value in row.items()} for row in table.to_pylist()]

    months = rows(
        ["net_revenue", "order_count"], ["metric_time__month", "order_id__channel"],
        ["{{ Dimension('order_id__channel') }} = 'web'"], ["-metric_time__month"], 4,
    )  # fmt: skip
    assert len(months) == 4
    assert found["sync"] == found["lazy"] == found["async"] == months
    channels = layer.dimension_values("order_id__channel", metrics=["net_revenue"])
    assert found["sync values"] == found["async values"] == found["lazy values"]
    assert [row["order_id__channel"] for row in found["sync values"]] == sorted(channels)
    assert found["sync saved"] == rows(
        saved_query="kpi_monthly_strategic", order_by=["-net_revenue"], limit=2
    )
    assert found["sync by name"] == rows(
        ["net_revenue"], ["metric_time__year"], order_by=["-net_revenue"]
    )
    for name in ("sync unknown", "lazy unknown", "async unknown"):
        kind, sentence = found[name]
        assert kind == "QueryFailedError"
        assert "Did you mean 'net_revenue'" in sentence
    assert found["token"][0] == "AuthError"
    assert "The token is not known here." in found["token"][1]


# --- templates


@pytest.mark.parametrize(
    ("template", "arguments"),
    [
        (
            "metrics=['net_revenue'], group_by=[Dimension('metric_time').grain('month')]",
            {"metrics": ["net_revenue"], "group_by": ["metric_time__month"]},
        ),
        (
            """metrics=['net_revenue', 'refund_rate'],
            group_by=['metric_time__quarter', 'customer__country'],
            where="{{ Dimension('customer__country') }} in ('FR', 'DE')",
            order_by=[TimeDimension('metric_time', 'quarter').descending(True),
                      Metric('net_revenue')]""",
            {
                "metrics": ["net_revenue", "refund_rate"],
                "group_by": ["metric_time__quarter", "customer__country"],
                "where": ["{{ Dimension('customer__country') }} in ('FR', 'DE')"],
                "order_by": ["-metric_time__quarter", "net_revenue"],
            },
        ),
        (
            """metrics=['order_count'], group_by=[TimeDimension('metric_time', 'DAY')], limit=3,
            start='2026-01-01', end='2026-02-28'""",
            {
                "metrics": ["order_count"], "group_by": ["metric_time__day"], "limit": 3,
                "start": "2026-01-01", "end": "2026-02-28",
            },
        ),
        (  # as dbt's own client writes a time whose grain was left out
            """metrics=['ticket_backlog'], group_by=[TimeDimension("metric_time", "None")],
            order_by=[Dimension("metric_time")], limit=3""",
            {
                "metrics": ["ticket_backlog"], "group_by": ["metric_time"], "limit": 3,
                "order_by": ["metric_time"],
            },
        ),
        (
            "saved_query='kpi_weekly_support', limit=5",
            {"saved_query": "kpi_weekly_support", "limit": 5},
        ),
        (
            r"""metrics=['order_count'], group_by=['order_id__channel'],
            where=["{{ Dimension('order_id__channel') }} <> '\u00e9\ud83d\ude00'"]""",
            {
                "metrics": ["order_count"], "group_by": ["order_id__channel"],
                "where": ["{{ Dimension('order_id__channel') }} <> 'é😀'"],
            },
        ),
    ],
)  # fmt: skip
def test_a_template_is_answered_as_the_layer_answers(flight, layer, template, arguments):
    expected = layer.query(**arguments).to_arrow()
    assert expected.num_rows
    for form in ("{{ semantic_layer.query(%s) }}", "select * from {{ semantic_layer.query(%s) }};"):
        assert flight(form % template).equals(expected)


def test_what_there_is_to_ask_comes_as_rows(flight, layer):
    metrics = flight("select * from {{ semantic_layer.metrics() }}")
    assert metrics.column("name").to_pylist() == [one["name"] for one in layer.metrics()]
    revenue = metrics.to_pylist()[metrics.column("name").to_pylist().index("net_revenue")]
    card = layer.card("net_revenue")
    assert revenue["queryable_granularities"] == list(card.grains)
    assert revenue["unit"] == "EUR"

    dimensions = flight("select * from {{ semantic_layer.dimensions(metrics=['net_revenue']) }}")
    assert dimensions.to_pylist() == layer.dimensions(["net_revenue"])
    values = flight(
        "select * from {{ semantic_layer.dimension_values(metrics=['net_revenue'],"
        " group_by=['customer__country']) }}"
    )
    assert values.column_names == ["customer__country"]
    assert values.column(0).to_pylist() == sorted(
        layer.dimension_values("customer__country", metrics=["net_revenue"])
    )
    saved = flight("select * from {{ semantic_layer.saved_queries() }}").to_pylist()
    assert sorted(one["name"] for one in saved) == TABLES
    weekly = next(one for one in saved if one["name"] == "kpi_weekly_support")
    assert weekly["group_by"] == ["metric_time__week", "ticket__team"]
    entities = flight("{{ semantic_layer.entities(metrics=['net_revenue']) }}")
    assert set(entities.column("name").to_pylist()) == {"order_id", "customer", "product"}
    measures = flight("{{ semantic_layer.measures(metrics=['average_order_value']) }}").to_pylist()
    assert {(one["name"], one["agg"]) for one in measures} == {
        ("orders_placed", "count"), ("order_placed_amount", "sum"),
    }  # fmt: skip
    grains = flight("{{ semantic_layer.queryable_granularities(metrics=['net_revenue']) }}")
    assert grains.column("name").to_pylist() == list(card.grains)
    for_team = flight("{{ semantic_layer.metrics_for_dimensions(group_by=['ticket__team']) }}")
    assert "tickets_opened" in for_team.column("name").to_pylist()
    assert "net_revenue" not in for_team.column("name").to_pylist()
    assert flight(
        "select NAME, LABEL from {{ semantic_layer.metrics(search='revenue') }} where is_kpi"
    ).num_rows


def test_compiling_gives_the_sql_and_runs_nothing(flight, layer, flight_server):
    asked = flight_server.server_context.service.cache.misses
    table = flight(
        "select * from {{ semantic_layer.query(metrics=['net_revenue'],"
        " group_by=['metric_time__year', 'product__category'], compile=True) }}"
    )
    expected = layer.sql(["net_revenue"], ["metric_time__year", "product__category"])
    assert table.to_pydict() == {"sql": [expected]}
    assert flight_server.server_context.service.cache.misses == asked


def test_a_repeated_question_is_answered_from_before_unless_the_client_minds(flight, flight_server):
    def counts():
        counted = flight_server.server_context.service.audit.questions
        return [counted["flight", "answered", cached] for cached in (False, True)]

    sql = (
        "{{ semantic_layer.query(metrics=['units_per_order'], group_by=['metric_time__year']%s) }}"
    )
    before = counts()
    first = flight(sql % "")
    assert flight(sql % "").equals(first)
    assert flight(sql % ", read_cache=False").equals(first)
    assert [now - then for now, then in zip(counts(), before, strict=True)] == [2, 1]


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        ("{{ semantic_layer.query(metrics=['net_revenu']) }}", "'net_revenue'"),
        ("{{ semantic_layer.query(metrics=['net_revenue'], group_by=['customer__contry']) }}",
         "'customer__country'"),
        ("{{ semantic_layer.query(metrics=['net_revenue'], group_by=['metric_time__hour']) }}",
         "day, week, month"),
        ("{{ semantic_layer.query(metric=['net_revenue']) }}", "'metrics'"),
        ("{{ semantic_layer.qery(metrics=['net_revenue']) }}", "'query'"),
        ("{{ semantic_layer.query(['net_revenue']) }}", "by name"),
        ("{{ semantic_layer.query(metrics=['net_revenue'], limit='x') }}", "whole number"),
        ("{{ semantic_layer.query(metrics=['net_revenue'], saved_query=['x']) }}", "text"),
        ("{{ semantic_layer.query(metrics=['net_revenue'], compile='yes') }}", "True or False"),
        ("{{ semantic_layer.query(saved_query='kpi_wekly_support') }}", "'kpi_weekly_support'"),
        ("{{ semantic_layer.dimension_values(group_by=['a', 'b']) }}", "one dimension"),
        ("{{ semantic_layer.query(metrics=['net_revenue'], group_by=[Dimenson('a')]) }}",
         "'Dimension'"),
        ("{{ semantic_layer.query(metrics=[Metric('net_revenue').grain('day')]) }}", "grain"),
        ("{{ semantic_layer.query(metrics=['net_revenue'] }}", "template"),
        ("{{ semantic_layer.query(metrics=['a'|upper]) }}", "calls, lists"),
        ("{{ semantic_layer.query(metrics=['a' * 1000000000]) }}", "calls, lists"),
        ("{{ semantic_layer.__init__.__globals__ }}", "template"),
        ("{{ ''.__class__.__mro__ }}", "template"),
        ("{{ semantic_layer.query.__globals__['x']() }}", "template"),
        ("{{ cycler.__init__() }}", "template"),
        ("{{ range(1000000000) }}", "template"),
        ("{% for x in range(9) %}{{ x }}{% endfor %}", "no other Jinja"),
        ("{% set x = semantic_layer %}{{ x.metrics() }}", "no other Jinja"),
        ("{{ 1 }}", "one call"),
        ("{{ " + "[" * 60 + "]" * 60 + " }}", "nested"),
        ("{{ " + "(" * 3000 + " }}", "template"),
        ("   ", "empty"),
        ("select '" + "x" * 200_000 + "'", "characters"),
    ],
)  # fmt: skip
def test_a_wrong_template_is_refused_with_what_would_be_right(flight_refusal, template, hint):
    assert hint in flight_refusal(template)


# --- the catalogue


def test_a_tool_finds_its_way_through_the_catalogue(flight_connection, layer):
    info = flight_connection.adbc_get_info()
    assert info["vendor_name"] == "Cadran"
    assert flight_connection.adbc_get_table_types() == ["VIEW"]

    def objects(depth, **more):
        return flight_connection.adbc_get_objects(depth=depth, **more).read_all().to_pylist()

    assert [one["catalog_name"] for one in objects("catalogs")] == ["cadran"]
    (schema,) = objects("db_schemas")[0]["catalog_db_schemas"]
    assert schema["db_schema_name"] == "kpis"
    (schema,) = objects("tables")[0]["catalog_db_schemas"]
    assert [one["table_name"] for one in schema["db_schema_tables"]] == TABLES
    (schema,) = objects("all", table_name_filter="kpi_weekly_s%")[0]["catalog_db_schemas"]
    (table,) = schema["db_schema_tables"]
    expected = layer.query(saved_query="kpi_weekly_support").to_arrow().schema
    assert [one["column_name"] for one in table["table_columns"]] == expected.names
    assert flight_connection.adbc_get_table_schema(
        "kpi_weekly_support", db_schema_filter="kpis"
    ).equals(expected)
    assert not objects("tables", db_schema_filter="other")[0]["catalog_db_schemas"]
    assert not objects("tables", catalog_filter="other")


def test_nothing_can_be_written(flight_connection):
    table = pa.table({"a": [1]})
    with (
        flight_connection.cursor() as cursor,
        pytest.raises(Error, match=r"only reads|not supported"),
    ):
        cursor.adbc_ingest("kpis", table)
    with (
        flight_connection.cursor() as cursor,
        pytest.raises(Error, match=r"no parameters|only reads"),
    ):
        cursor.execute("select * from kpis.kpi_weekly_support where ticket__team = ?", ["x"])
    with pytest.raises(NotSupportedError):
        flight_connection._conn.set_autocommit(False)


# --- Large answers


@pytest.fixture(scope="module")
def large(layer):
    """A question of more rows than one batch holds, and its answer."""
    groups = ["metric_time__minute", "service__service_name"]
    table = layer.query(["request_count", "error_rate"], groups).to_arrow()
    assert table.num_rows > 2 * BATCH_ROWS
    asked = f"metrics=['request_count', 'error_rate'], group_by={groups}"
    return f"{{{{ semantic_layer.query({asked}) }}}}", table


def test_a_large_answer_comes_in_batches(flight_connection, large):
    sql, expected = large
    with flight_connection.cursor() as cursor:
        cursor.execute(sql)
        reader = cursor.fetch_record_batch()
        batches = list(reader)
    assert max(batch.num_rows for batch in batches) <= BATCH_ROWS
    assert len(batches) >= expected.num_rows / BATCH_ROWS
    assert pa.Table.from_batches(batches).equals(expected)


def test_an_empty_answer_has_its_columns(flight, layer):
    question = {"metrics": ["net_revenue"], "group_by": ["metric_time__month"]}
    table = flight(
        "{{ semantic_layer.query(metrics=['net_revenue'], group_by=['metric_time__month'],"
        " where=\"{{ Dimension('order_id__channel') }} = 'nothing'\") }}"
    )
    assert table.num_rows == 0
    assert table.schema.equals(layer.query(**question).to_arrow().schema)


def test_many_clients_at_once_get_each_their_own_answer(flight_server, layer):
    years = {
        name: layer.query([name], ["metric_time__year"]).to_arrow()
        for name in ("net_revenue", "order_count", "refund_rate", "active_customers")
    }

    def client(number):
        name = list(years)[number % 4]
        with connect(flight_server) as opened, opened.cursor() as cursor:
            for _ in range(5):
                cursor.execute(
                    f"{{{{ semantic_layer.query(metrics=['{name}'],"
                    " group_by=['metric_time__year']) }}"
                )
                assert cursor.fetch_arrow_table().equals(years[name])
        return name

    with ThreadPoolExecutor(8) as clients:
        assert set(clients.map(client, range(8))) == set(years)
