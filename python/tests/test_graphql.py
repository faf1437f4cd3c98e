"""The dbt Semantic Layer's GraphQL API: its unmodified clients get the numbers of `Layer.query`."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import httpx
import pandas as pd
import pyarrow as pa
import pytest
from dbtsl import OrderByGroupBy, OrderByMetric
from dbtsl.api.graphql.client.asyncio import AsyncGraphQLClient
from dbtsl.api.graphql.client.sync import SyncGraphQLClient
from dbtsl.api.shared.query_params import GroupByParam, GroupByType
from dbtsl.error import AuthError, QueryFailedError
from gql import Client
from gql.transport.exceptions import TransportQueryError
from gql.transport.requests import RequestsHTTPTransport

from cadran import GroupBy
from cadran.access.caller import Caller
from cadran.access.gate import OpenGate, Visible
from cadran.core.project import artifacts
from cadran.errors import LimitError, QueryError, UnauthenticatedError
from cadran.server.graphql.jobs import Jobs, Outcome, Room
from cadran.server.graphql.metadata import Metadata
from cadran.server.run import serving
from cadran.server.settings import Settings

URL = "http://{server_host}/api/graphql"
BY_MINUTE = {
    "metrics": ["request_count"],
    "group_by": ["metric_time__minute"],
}


class Book:
    """Knows two callers by their tokens."""

    open = False

    def waits(self, bearer):  # noqa: ARG002
        return False

    def caller(self, bearer):
        if bearer not in {"anna", "ben"}:
            raise UnauthenticatedError("Nobody known bears this token.")
        return Caller(bearer)


class Narrow(OpenGate):
    """Lets nobody know of one KPI and one dimension."""

    def visible(self, caller, layer):  # noqa: ARG002
        metrics = {one["name"] for one in layer.metrics()} - {"order_count"}
        dimensions = {one["name"] for one in layer.dimensions()} - {"customer__country"}
        return Visible(frozenset(metrics), frozenset(dimensions))


@pytest.fixture(scope="module")
def served(demo, tmp_path_factory):
    found = artifacts.find(None, demo.target / "semantic_manifest.json", demo.database)
    home = tmp_path_factory.mktemp("served")
    settings = Settings(
        port=0, flight_port=None, warm=False, refresh=0,
        tokens=home / "tokens.json", policy=home / "policy.yml", audit=home / "audit",
    )  # fmt: skip
    with serving(found, settings) as running:
        running.server_context.who = Book()
        yield running


@pytest.fixture(scope="module")
def host(served):
    return served.http.removeprefix("http://")


@pytest.fixture
def sdk(host):
    client = SyncGraphQLClient(host, 1, "anna", URL, lazy=False)
    with client.session():
        yield client


@pytest.fixture
def post(served):
    """Sends a document as `anna` unless told otherwise; gives the JSON that comes back."""
    with httpx.Client(base_url=served.http) as client:

        def send(text, bearer="anna", path="/api/graphql", **variables):
            body = {"query": text, "variables": {"environmentId": 1, **variables}}
            answer = client.post(path, json=body, headers={"authorization": f"Bearer {bearer}"})
            assert answer.status_code == 200, answer.text
            return answer.json()

        yield send


def rows(table):
    return [tuple(row.values()) for row in table.to_pylist()]


# ------------------------------------------------------------------- what there is to ask


def test_the_sdk_lists_the_metrics_of_the_layer_with_all_that_belongs_to_them(sdk, layer):
    listed = {one.name: one for one in sdk.metrics()}
    assert {n: (m.label, m.description, m.type.value.lower()) for n, m in listed.items()} == {
        one["name"]: (one["label"], one["description"], one["type"]) for one in layer.metrics()
    }
    for card in layer.kpis():
        one = listed[card.name]
        assert one.queryable_time_granularities == list(card.grains)
        assert [g.value.lower() for g in one.queryable_granularities] == list(card.grains)
        shown = {(d.name, d.type.value.lower(), d.description) for d in one.dimensions}
        assert shown == {
            (d["name"], d["type"], d["description"]) for d in layer.dimensions(card.name)
        }
        assert one.measures
    windows = {name for name, one in listed.items() if one.requires_metric_time}
    assert windows == {"revenue_month_to_date", "revenue_trailing_28_days", "revenue_growth_yoy"}


def test_dimensions_have_grains_where_they_are_times(sdk):
    found = {one.name: one for one in sdk.dimensions(metrics=["order_net_amount"])}
    assert found["metric_time"].queryable_time_granularities[0] == "day"
    assert found["customer__signed_up_date"].type.value == "TIME"
    assert found["customer__signed_up_date"].queryable_time_granularities[-1] == "year"
    assert found["customer__country"].queryable_time_granularities == []
    assert found["order_id__customer__country"].qualified_name == "order_id__customer__country"


def test_dimensions_of_several_metrics_are_those_they_share(sdk, layer):
    both = ["net_revenue", "conversion_rate"]
    assert {one.name for one in sdk.dimensions(metrics=both)} == {
        one["name"] for one in layer.dimensions(both)
    }


def test_measures_are_the_aggregations_that_a_kpi_is_made_of(sdk):
    found = {one.name: one for one in sdk.measures(metrics=["average_order_value"])}
    assert {n: (m.agg.value, m.expr, m.agg_time_dimension) for n, m in found.items()} == {
        "order_placed_amount": ("SUM", "ordered_amount", "ordered_date"),
        "orders_placed": ("COUNT", "order_id", "ordered_date"),
    }


def test_entities_tell_their_kind_and_column(sdk):
    found = {one.name: one for one in sdk.entities(metrics=["order_net_amount"])}
    assert {n: (e.type.value, e.expr, e.role) for n, e in found.items()}.items() >= {
        "order_line": ("PRIMARY", "order_line_id", ""),
        "customer": ("FOREIGN", "customer_id", ""),
        "order_id": ("FOREIGN", "order_id", ""),
    }.items()
    # A KPI is asked by the dimensions of its card, and no card has a key.
    assert sdk.entities(metrics=["net_revenue"]) == []


def test_saved_queries_say_what_they_ask(sdk, layer):
    listed = {one.name: one for one in sdk.saved_queries()}
    assert set(listed) == {one["name"] for one in layer.saved_queries()}
    for name, one in listed.items():
        asked = layer.saved_query(name)
        assert [m.name for m in one.query_params.metrics] == list(asked.metrics)
        groups = [(g.name, g.time_granularity) for g in one.query_params.group_by]
        assert groups == [(g.base, g.asked_grain) for g in asked.group_by]


def test_the_environment_is_duckdb(sdk):
    info = sdk.environment_info()
    assert (info.dialect.value, info.has_metrics_defined) == ("DUCKDB", True)


SCRIPT = """
import asyncio, json, sys, warnings
warnings.simplefilter("ignore")
from dbtsl import SemanticLayerClient
from dbtsl.asyncio import AsyncSemanticLayerClient

given = {"environment_id": 1, "auth_token": "anna", "host": sys.argv[1]}
eager, lazy = SemanticLayerClient(**given), SemanticLayerClient(**given, lazy=True)
told = {}
with eager.session():
    told["eager"] = sorted(len(one.dimensions) for one in eager.metrics())
    told["sql"] = eager.compile_sql(metrics=["net_revenue"], group_by=["metric_time__month"])
with lazy.session():
    listed = lazy.metrics()
    told["before"] = sum(len(one.dimensions) for one in listed)
    told["lazy"] = sorted(len(one.load_dimensions()) for one in listed)
    told["measures"] = len(listed[0].load_measures())

async def more():
    client = AsyncSemanticLayerClient(**given)
    async with client.session():
        metrics, saved, info = await asyncio.gather(
            client.metrics(), client.saved_queries(), client.environment_info())
        told["async"] = [len(metrics), len(saved), info.dialect.value]

asyncio.run(more())
print(json.dumps(told))
"""


def test_the_sdk_itself_works_with_nothing_but_its_two_variables_set(host, layer):
    environment = os.environ | {
        "DBT_SL_GRAPHQL_URL_FORMAT": URL, "DBT_SL_ADBC_URL_FORMAT": "grpc://{server_host}",
    }  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, host],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    expected = sorted(len(layer.dimensions(one["name"])) for one in layer.metrics())
    assert told["eager"] == told["lazy"] == expected
    assert told["before"] == 0
    assert told["measures"] > 0
    assert told["sql"] == layer.sql(["net_revenue"], ["metric_time__month"])
    assert told["async"] == [len(layer.metrics()), len(layer.saved_queries()), "DUCKDB"]


# ------------------------------------------------------------------------------ numbers

QUESTIONS = [
    ({"metrics": ["net_revenue"]}, {"metrics": ["net_revenue"]}),
    (
        {
            "metrics": ["net_revenue", "order_count"],
            "group_by": ["metric_time__month", "customer__country"],
            "where": ["{{ Dimension('order_id__channel') }} = 'web'"],
            "order_by": ["-net_revenue", "metric_time"],
            "limit": 7,
        },
        {
            "metrics": ["net_revenue", "order_count"],
            "group_by": ["metric_time__month", "customer__country"],
            "where": ["order_id__channel = 'web'"],
            "order_by": ["-net_revenue", "metric_time__month"],
            "limit": 7,
        },
    ),
    (
        {
            "metrics": ["average_order_value"],
            "group_by": [GroupByParam("metric_time", GroupByType.TIME_DIMENSION, "QUARTER")],
            "order_by": [OrderByGroupBy("metric_time", None, descending=True)],
        },
        {
            "metrics": ["average_order_value"],
            "group_by": ["metric_time__quarter"],
            "order_by": ["-metric_time__quarter"],
        },
    ),
    (
        {"group_by": ["customer__country"], "order_by": ["-customer__country"]},
        {"group_by": ["customer__country"], "order_by": ["-customer__country"]},
    ),
    (
        {
            "saved_query": "kpi_minute_reliability",
            "where": ["{{ Dimension('service__service_name') }} = 'Checkout'"],
            "order_by": [
                OrderByMetric("response_ms_p95", descending=True),
                OrderByGroupBy("metric_time", None),
            ],
            "limit": 5,
        },
        {
            "saved_query": "kpi_minute_reliability",
            "where": ["service__service_name = 'Checkout'"],
            "order_by": ["-response_ms_p95", "metric_time__minute"],
            "limit": 5,
        },
    ),
]


@pytest.mark.parametrize(("asked", "same"), QUESTIONS)
def test_an_answer_over_graphql_is_that_of_the_layer(sdk, layer, asked, same):
    expected = layer.query(**same).to_arrow()
    assert expected.num_rows
    assert sdk.query(**asked).equals(expected)


def test_a_question_compiles_to_the_sql_that_its_answer_is_computed_by(sdk, layer):
    asked = {"metrics": ["net_revenue"], "group_by": ["customer__country"]}
    sql = sdk.compile_sql(**asked)
    assert sql == layer.sql(**asked)
    number = sdk.create_query(**asked)
    assert ended(sdk, number).sql == sql


def ended(sdk, number):
    for _ in range(100):
        result = sdk.get_query_result(query_id=number)
        if result.status.value in {"SUCCESSFUL", "FAILED"}:
            return result
        time.sleep(0.05)
    raise AssertionError(result.status)


def test_a_long_answer_comes_in_pages_that_make_it_whole(sdk, layer):
    expected = layer.query(**BY_MINUTE).to_arrow()
    result = ended(sdk, sdk.create_query(**BY_MINUTE))
    assert result.total_pages > 3
    assert sdk.query(**BY_MINUTE).equals(expected)


def test_the_asynchronous_client_asks_many_questions_at_once(host, layer):
    grains = ["day", "week", "month", "quarter", "year"]

    async def ask():
        client = AsyncGraphQLClient(host, 1, "anna", URL, lazy=True)
        async with client.session():
            asked = [
                client.query(metrics=["net_revenue"], group_by=[f"metric_time__{grain}"])
                for grain in grains
            ]
            return await asyncio.gather(*asked, client.query(**BY_MINUTE))

    *tables, long = asyncio.run(ask())
    for grain, table in zip(grains, tables, strict=True):
        expected = layer.query(["net_revenue"], [f"metric_time__{grain}"]).to_arrow()
        assert rows(table) == rows(expected)
    assert long.equals(layer.query(**BY_MINUTE).to_arrow())


CREATE = """mutation ($environmentId: BigInt!, $metrics: [MetricInput!], $group: [GroupByInput!],
    $saved: String, $cache: Boolean) {
    createQuery(environmentId: $environmentId, metrics: $metrics, groupBy: $group,
        savedQuery: $saved, readCache: $cache) { queryId } }"""
POLL = """query ($environmentId: BigInt!, $number: String!, $page: Int! = 1) {
    query(environmentId: $environmentId, queryId: $number, pageNum: $page) {
        status sql error totalPages arrowResult } }"""


def answered(post, **variables):
    """Create a query and poll until it has ended, as the API wants it."""
    number = post(CREATE, **variables)["data"]["createQuery"]["queryId"]
    return number, polled(post, number)


def polled(post, number):
    for _ in range(100):
        result = post(POLL, number=number)["data"]["query"]
        if result["status"] in {"SUCCESSFUL", "FAILED"}:
            return result
        time.sleep(0.05)
    raise AssertionError(result)


def table_of(text):
    with pa.ipc.open_stream(base64.b64decode(text)) as stream:
        return stream.read_all()


def test_a_grain_or_a_date_part_may_stand_beside_the_name(post, layer):
    by_month = [{"name": "metric_time", "grain": "MONTH"}]
    _, result = answered(post, metrics=[{"name": "order_net_amount"}], group=by_month)
    expected = layer.query(["order_net_amount"], ["metric_time__month"]).to_arrow()
    assert table_of(result["arrowResult"]).equals(expected)
    weekday = [{"name": "metric_time", "datePart": "DOW"}]
    _, result = answered(post, metrics=[{"name": "order_net_amount"}], group=weekday)
    expected = layer.query(["order_net_amount"], [GroupBy("metric_time", None, "dow")]).to_arrow()
    assert sorted(rows(table_of(result["arrowResult"]))) == sorted(rows(expected))


def test_json_is_what_pandas_reads(post, layer):
    group = [{"name": "metric_time", "timeGranularity": "month"}, {"name": "customer__country"}]
    number, _ = answered(post, metrics=[{"name": "net_revenue"}], group=group)
    expected = layer.query(["net_revenue"], ["metric_time__month", "customer__country"])
    text = """query ($environmentId: BigInt!, $number: String!) {
        query(environmentId: $environmentId, queryId: $number) {
            table: jsonResult
            records: jsonResult(orient: RECORDS, encoded: false)
            split: jsonResult(orient: SPLIT, encoded: false) } }"""
    found = post(text, number=number)["data"]["query"]
    frame = pd.read_json(StringIO(base64.b64decode(found["table"]).decode()), orient="table")
    plain = expected.to_arrow().to_pandas()
    assert list(frame.columns) == expected.columns
    assert frame["net_revenue"].tolist() == [float(one) for one in plain["net_revenue"]]
    records = json.loads(found["records"])
    assert records[0]["metric_time__month"] == plain["metric_time__month"][0].isoformat()
    assert json.loads(found["split"])["data"] == [list(one.values()) for one in records]


def test_the_values_of_a_dimension_are_a_query_of_their_own(post, layer):
    text = """mutation ($environmentId: BigInt!) { createDimensionValuesQuery(
        environmentId: $environmentId, groupBy: [{name: "customer__country"}],
        metrics: [{name: "net_revenue"}]) { queryId } }"""
    number = post(text)["data"]["createDimensionValuesQuery"]["queryId"]
    result = polled(post, number)
    values = layer.dimension_values("customer__country", ["net_revenue"])
    assert table_of(result["arrowResult"]).to_pydict() == {"customer__country": values}


def test_what_is_kept_is_used_unless_the_client_does_not_want_it(served, post):
    asked = {"metrics": [{"name": "order_count"}], "group": [{"name": "metric_time__week"}]}

    def runs():
        with httpx.Client(base_url=served.http) as client:
            lines = client.get("/metrics").text.splitlines()
        start = 'cadran_questions_total{protocol="graphql",outcome="answered",cached='
        found = dict(line.removeprefix(start).split("} ") for line in lines if start in line)
        return int(found.get('"false"', 0)), int(found.get('"true"', 0))

    _, first = answered(post, **asked)
    fresh, kept = runs()
    _, second = answered(post, **asked)
    assert runs() == (fresh, kept + 1)
    _, third = answered(post, **asked, cache=False)
    assert runs() == (fresh + 1, kept + 1)
    assert first == second == third


# ------------------------------------------------------------------------------- refusals


def test_an_unknown_name_fails_the_query_with_its_near_miss(sdk):
    with pytest.raises(QueryFailedError, match="Did you mean 'net_revenue'") as refused:
        sdk.query(metrics=["net_revenu"])
    assert refused.value.status == "QueryStatus.FAILED"
    with pytest.raises(QueryFailedError, match="Did you mean 'customer__country'"):
        sdk.query(metrics=["net_revenue"], group_by=["customer__contry"])
    with pytest.raises(QueryFailedError, match="There is no saved query 'kpi_dai'"):
        sdk.query(saved_query="kpi_dai")


def test_a_question_outside_the_card_fails_and_says_what_the_card_has(sdk):
    with pytest.raises(QueryFailedError, match="its card has the grains"):
        sdk.query(metrics=["ticket_backlog"], group_by=["metric_time__minute"])


def test_what_makes_no_sense_is_said_in_a_sentence(post, sdk):
    with pytest.raises(TransportQueryError, match="Did you mean 'net_revenue'"):
        sdk.compile_sql(metrics=["net_revenu"])
    with pytest.raises(TransportQueryError, match="There is no metric 'net_revenu'"):
        sdk.dimensions(metrics=["net_revenu"])
    with pytest.raises(QueryFailedError, match="limit is -1; it takes a whole number from 0 to"):
        sdk.query(metrics=["net_revenue"], limit=-1)
    alias = [{"name": "net_revenue", "alias": "sales"}]
    _, result = answered(post, metrics=alias)
    assert "a metric has one name everywhere" in result["error"]


def test_a_wrong_token_is_what_the_sdk_takes_for_one(host):
    client = SyncGraphQLClient(host, 1, "nobody", URL, lazy=False)
    with client.session(), pytest.raises(AuthError):
        client.metrics()

    async def ask():
        other = AsyncGraphQLClient(host, 1, "nobody", URL, lazy=False)
        async with other.session():
            await other.environment_info()

    with pytest.raises(AuthError):
        asyncio.run(ask())


def test_a_query_belongs_to_who_created_it(post):
    number, _ = answered(post, metrics=[{"name": "net_revenue"}])
    for bearer, wanted in (("ben", number), ("anna", "0" * 32)):
        told = post(POLL, bearer=bearer, number=wanted)
        assert told["data"] is None
        assert f"There is no query '{wanted}' of yours." in told["errors"][0]["message"]
    cancel = """mutation ($environmentId: BigInt!, $number: String!) {
        cancelQuery(environmentId: $environmentId, queryId: $number) { queryId } }"""
    assert post(cancel, bearer="ben", number=number)["data"] is None
    assert post(cancel, number=number)["data"]["cancelQuery"]["queryId"] == number


def test_a_page_that_is_not_there_is_an_error(post):
    number, _ = answered(post, metrics=[{"name": "net_revenue"}])
    for page in (0, 2):
        told = post(POLL, number=number, page=page)
        assert told["errors"][0]["message"] == (
            f"There is no page {page}: the answer has pages 1 to 1."
        )


def test_a_caller_knows_only_of_what_it_may_see(served, post, sdk, monkeypatch):
    text = """query ($environmentId: BigInt!) { metrics(environmentId: $environmentId) {
        name config { meta } dimensions { name } } }"""
    before = post(text)["data"]["metrics"]
    assert any(one["name"] == "order_count" for one in before)
    monkeypatch.setattr(served.server_context.service, "gate", Narrow())
    after = post(text)["data"]["metrics"]
    assert {one["name"] for one in before} - {one["name"] for one in after} == {"order_count"}
    shown = json.dumps(after)
    assert '"customer__country"' not in shown
    assert '"order_count"' not in shown
    for asked in (sdk.dimensions, sdk.measures, sdk.entities):
        with pytest.raises(TransportQueryError, match="There is no metric 'order_count'"):
            asked(metrics=["order_count"])
    # And what was answered before the change is answered anew after it.
    monkeypatch.undo()
    assert post(text)["data"]["metrics"] == before


# ------------------------------------------------------------------------- other clients


def test_lists_come_in_pages_for_clients_that_post_to_the_root(post, layer):
    text = """query ($environmentId: BigInt!, $search: String, $searchTerms: [String!],
            $pageNum: Int!, $pageSize: Int!) {
        metricsPaginated(environmentId: $environmentId, search: $search,
            searchTerms: $searchTerms, pageNum: $pageNum, pageSize: $pageSize) {
            pageNum pageSize totalItems totalPages
            items { name label description type config { meta } dimensions { name }
                entities { name } } } }"""
    whole = layer.metrics()
    seen, number = [], 1
    while True:
        asked = {"environmentId": "42", "search": None, "pageNum": number, "pageSize": 12}
        page = post(text, path="/", **asked)["data"]["metricsPaginated"]
        assert (page["totalItems"], page["totalPages"]) == (len(whole), -(-len(whole) // 12))
        seen += page["items"]
        number += 1
        if number > page["totalPages"]:
            break
    assert [one["name"] for one in seen] == [one["name"] for one in whole]
    meta = next(one["config"]["meta"] for one in seen if one["name"] == "net_revenue")
    assert meta["kpi"]["unit"] == layer.card("net_revenue").unit
    found = post(text, search="REVENUE", pageNum=1, pageSize=100)["data"]["metricsPaginated"]
    assert 0 < found["totalItems"] < len(whole)
    assert all("revenue" in json.dumps(one).lower() for one in found["items"])
    terms = post(text, searchTerms=["net_revenue", "ORDER_COUNT"], pageNum=1, pageSize=100)
    either = {one["name"] for one in terms["data"]["metricsPaginated"]["items"]}
    assert {"net_revenue", "order_count"} <= either
    assert len(either) < len(whole)
    every = post(text, searchTerms=[], pageNum=1, pageSize=2**31 - 1)["data"]["metricsPaginated"]
    assert (len(every["items"]), every["totalPages"]) == (len(whole), 1)
    beyond = post(text, pageNum=2, pageSize=len(whole))["data"]["metricsPaginated"]
    assert (beyond["items"], beyond["totalItems"]) == ([], len(whole))


def test_dimensions_entities_and_saved_queries_come_in_pages_too(post, layer):
    text = """query ($environmentId: BigInt!, $metrics: [MetricInput!]!, $search: String) {
        dimensionsPaginated(environmentId: $environmentId, metrics: $metrics, search: $search) {
            totalItems items { name type label description queryableGranularities
                queryableTimeGranularities config { meta } } }
        entitiesPaginated(environmentId: $environmentId, metrics: $metrics, search: $search) {
            items { name type description } }
        savedQueriesPaginated(environmentId: $environmentId, pageNum: 1, pageSize: 3) {
            pageNum pageSize totalItems totalPages
            items { name label description queryParams {
                metrics { name } groupBy { name } where { whereSqlTemplate } } } } }"""
    told = post(text, metrics=[{"name": "order_net_amount"}], search="customer")["data"]
    names = {one["name"] for one in told["dimensionsPaginated"]["items"]}
    assert names
    assert names < {one["name"] for one in layer.dimensions("order_net_amount")}
    assert "customer" in {one["name"] for one in told["entitiesPaginated"]["items"]}
    saved = told["savedQueriesPaginated"]
    assert saved["totalItems"] == len(layer.saved_queries())
    assert len(saved["items"]) == 3


def test_metrics_are_found_by_what_they_can_be_grouped_by(post, layer):
    text = """query ($environmentId: BigInt!) { metricsForDimensions(environmentId: $environmentId,
        dimensions: [{name: "customer__country"}, {name: "metric_time", grain: MONTH}]) { name }
        queryableGranularities(environmentId: $environmentId,
            metrics: [{name: "net_revenue"}, {name: "ticket_backlog"}]) }"""
    told = post(text)["data"]
    assert {one["name"] for one in told["metricsForDimensions"]} == {
        one["name"]
        for one in layer.metrics()
        if "customer__country" in {d["name"] for d in layer.dimensions(one["name"])}
    }
    shared = set(layer.card("net_revenue").grains) & set(layer.card("ticket_backlog").grains)
    assert {one.lower() for one in told["queryableGranularities"]} == shared


def test_what_a_metric_is_made_of_can_be_read(post):
    text = """query ($environmentId: BigInt!) { metrics(environmentId: $environmentId) { name
        typeParams { measure { name } inputMeasures { name } numerator { name }
            denominator { name } expr window { count granularity } grainToDate
            metrics { name alias offsetWindow { count granularity } } }
        filter { whereSqlTemplate } } }"""
    made = {one["name"]: one["typeParams"] for one in post(text)["data"]["metrics"]}
    assert made["platform_availability"]["numerator"]["name"] == "good_requests"
    assert made["revenue_month_to_date"]["grainToDate"] == "MONTH"
    assert made["revenue_trailing_28_days"]["window"] == {"count": 28, "granularity": "DAY"}
    offsets = [one["offsetWindow"] for one in made["revenue_growth_yoy"]["metrics"]]
    assert {"count": 1, "granularity": "YEAR"} in offsets


def test_the_schema_can_be_introspected(served):
    headers = {"authorization": "Bearer anna"}
    transport = RequestsHTTPTransport(f"{served.http}/api/graphql", headers=headers)
    client = Client(transport=transport, fetch_schema_from_transport=True)
    with client:
        assert {"BigInt", "Metric", "QueryResult"} <= set(client.schema.type_map)


# --------------------------------------------------------------------------- hostile bodies


def asking(text, **variables):
    return json.dumps({"query": text, "variables": variables}).encode()


def creating(**arguments):
    arguments = {"metrics": [{"name": "net_revenue"}], **arguments}
    declared = {
        "metrics": "[MetricInput!]", "groupBy": "[GroupByInput!]", "where": "[WhereInput!]",
        "orderBy": "[OrderByInput!]", "limit": "Int", "savedQuery": "String",
    }  # fmt: skip
    given = ", ".join(f"${name}: {declared[name]}" for name in arguments)
    passed = ", ".join(f"{name}: ${name}" for name in arguments)
    text = f"mutation ({given}) {{ createQuery(environmentId: 1, {passed}) {{ queryId }} }}"
    return asking(text, **arguments)


NESTED = "{" + "a{" * 900 + "a" + "}" * 901
LAUGHS = "{...f0}" + "".join(
    f"fragment f{n} on Query{{...f{n + 1} ...f{n + 1} ...f{n + 1}}}" for n in range(40)
)
WIDE = "{" + " ".join(f"a{n}: environmentInfo(environmentId: 1) {{ dialect }}" for n in range(90))
HOSTILE = [
    b"", b"null", b"[]", b"[{}]", b"{}", b'"query"', b"17", b"\xff\xfe", b"{", b"[" * 100_000,
    b'{"query": null}', b'{"query": 1}', b'{"query": ""}', b'{"query": {"a": 1}}',
    b'{"query": "{__typename}", "variables": []}', b'{"query": "{__typename}", "variables": "a"}',
    b'{"query": "{__typename}", "operationName": 3}', b'{"query": "{__typename}", "a": 1e999999',
    b'{"query": "{__typename}", "operationName": "other"}',
    b'{"query": "{a}", "variables": {"a": ' + b"9" * 5_000 + b"}}",
    b'{"query": "\\ud800"}', b'{"query": "{__typename}", "variables": {"a": "\\udfff"}}',
    asking("{"), asking("}"), asking("query"), asking("{ __typename } {"), asking("\x00"),
    asking(NESTED), asking(LAUGHS), asking(WIDE + "}"), asking("{" + "a " * 5_000 + "}"),
    asking("{...a} fragment a on Query {...b} fragment b on Query {...a}"), asking("{...a}"),
    asking("subscription { a }"), asking("query a {__typename} query b {__typename}"),
    asking("{ metrics }"), asking("{ metrics(environmentId: null) { name } }"),
    asking("{ metrics(environmentId: 1.5) { name } }"), asking("{ query(queryId: 1) { sql } }"),
    asking("query ($e: BigInt!) { metrics(environmentId: $e) { name } }", e={"a": 1}),
    asking('{ savedQuery(environmentId: 1, savedQueryName: "../../etc") { name } }'),
    asking("{ metricsPaginated(environmentId: 1, pageNum: 0) { totalItems } }"),
    asking("{ metricsPaginated(environmentId: 1, pageSize: -5) { totalItems } }"),
    asking("{ __typename @include }"), asking("{ __typename @unknown(a: 1) }"),
    asking('{ query(environmentId: 1, queryId: "' + "a" * 10_000 + '") { sql } }'),
    creating(metrics=[{"name": "a" * 50_000}]), creating(metrics=[{"name": ""}]),
    creating(metrics=[]), creating(limit=2**40), creating(orderBy=[{"descending": True}]),
    creating(groupBy=[{"name": "metric_time", "timeGranularity": "'; drop table x; --"}]),
    creating(groupBy=[{"name": "metric_time", "grain": "FORTNIGHT"}]),
    creating(where=[{"sql": "1=1; drop table fct_orders"}]), creating(where=[{"sql": "{{ 7*7 }}"}]),
    creating(where=[{"sql": "{{ ''.__class__.__mro__ }} = 1"}]), creating(where=[{"sql": "("}]),
    creating(where=[{"sql": "exists (select * from read_csv('/etc/passwd'))"}]),
    creating(savedQuery="no_such_one"), asking("{__typename}" + "#" * 600_000),
]  # fmt: skip


def test_whatever_comes_in_the_answer_is_one_of_graphql(served, project_root, caplog):
    caplog.set_level(logging.ERROR, logger="cadran.server")
    headers = {"authorization": "Bearer anna", "content-type": "application/json"}
    assert len(HOSTILE) >= 50
    with httpx.Client(base_url=served.http, headers=headers, timeout=20) as client:
        for body in HOSTILE:
            answer = client.post("/api/graphql", content=body)
            assert answer.status_code in {200, 400, 413}, body[:200]
            told = answer.json()
            created = (told.get("data") or {}).get("createQuery")
            if created:
                sent = {"number": created["queryId"], "environmentId": 1}
                while True:
                    said = client.post("/", content=asking(POLL, **sent)).json()["data"]["query"]
                    if said["status"] in {"SUCCESSFUL", "FAILED"}:
                        break
                    time.sleep(0.05)
                assert said["status"] == "FAILED", body[:200]
                messages = [said["error"]]
            else:
                messages = [one["message"] for one in told["errors"]]
            for message in messages:
                assert message, body[:200]
                for leak in ("Traceback", str(project_root), "site-packages", "Something went"):
                    assert leak not in message, (body[:200], message)
    assert not caplog.records


def test_only_json_is_taken_so_that_a_page_of_another_site_cannot_post(served):
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = httpx.post(
            f"{served.http}/api/graphql", content=asking("{__typename}"),
            headers={"authorization": "Bearer anna", "content-type": kind},
        )  # fmt: skip
        assert answer.status_code == 400
        assert "application/json" in answer.json()["errors"][0]["message"]


def test_an_unexpected_error_is_logged_and_told_by_its_number_only(post, monkeypatch, caplog):
    def broken(_):
        raise RuntimeError("a secret path")

    monkeypatch.setattr(Metadata, "metrics", broken)
    told = post("query q { a: metrics(environmentId: 1) { name } }")["errors"][0]["message"]
    number = told.removeprefix("Something went wrong here; it is recorded as ").rstrip(".")
    assert len(number) == 8
    assert "secret" not in told
    assert number in caplog.text
    assert "a secret path" in caplog.text


# ------------------------------------------------------------------------ created queries


@pytest.fixture
def workers():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def table(size):
    return pa.table({"a": pa.array([0] * (size // 8), pa.int64())})


ANNA, BEN = Caller("anna"), Caller("ben")


def test_a_created_query_goes_some_time_after_it_was_last_asked_for(workers):
    now = [0.0]
    jobs = Jobs(workers, Room(seconds=600), clock=lambda: now[0])
    job = jobs.ready(ANNA, Outcome(table(80)))
    for now[0] in (599.0, 1198.0):
        assert jobs.get(ANNA, job.id).table.num_rows == 10
    now[0] = 1799.0
    with pytest.raises(QueryError, match="There is no query"):
        jobs.get(ANNA, job.id)
    assert len(jobs) == 0


def test_a_caller_who_creates_too_many_loses_its_own_oldest(workers):
    jobs = Jobs(workers, Room(each=2))
    other = jobs.ready(BEN, Outcome(table(80)))
    first, second, third = (jobs.ready(ANNA, Outcome(table(80))) for _ in range(3))
    with pytest.raises(QueryError):
        jobs.get(ANNA, first.id)
    assert [jobs.get(ANNA, one.id) for one in (second, third)] == [second, third]
    assert jobs.get(BEN, other.id) is other


def test_rows_that_are_kept_are_bounded_in_bytes(workers):
    jobs = Jobs(workers, Room(size=1_000))
    made = [jobs.ready(ANNA, Outcome(table(400))) for _ in range(3)]
    with pytest.raises(QueryError):
        jobs.get(ANNA, made[0].id)
    assert jobs.get(ANNA, made[2].id).table.num_rows == 50
    large = jobs.ready(ANNA, Outcome(table(2_000)))
    assert jobs.get(ANNA, large.id).status == "failed"
    assert "at most 0 MB are kept" in large.outcome.error


def test_running_queries_are_limited_and_can_be_cancelled(workers):
    jobs = Jobs(workers, Room(each=1))
    begun, stopped = threading.Event(), threading.Event()

    def endless(stop):
        stop.when(stopped.set)
        begun.set()
        stopped.wait(10)
        return Outcome(table(80))

    job = jobs.start(ANNA, endless)
    assert begun.wait(5)
    assert job.status == "running"
    with pytest.raises(LimitError, match="wait for one of them"):
        jobs.ready(ANNA, Outcome(table(80)))
    jobs.cancel(ANNA, job.id)
    assert stopped.wait(5)
    job.future.result(5)
    assert (job.status, job.outcome.error) == ("failed", "The query was cancelled.")
    assert job.table is None


def test_a_server_that_stops_lets_no_created_query_hold_it(workers):
    jobs = Jobs(workers)
    stopped = threading.Event()

    def endless(stop):
        stop.when(stopped.set)
        assert stopped.wait(10)
        return Outcome(table(80))

    job = jobs.start(ANNA, endless)
    jobs.close()
    assert stopped.wait(5)
    job.future.result(5)
    assert len(jobs) == 0
