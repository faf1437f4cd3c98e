"""No protocol, format, cache or error shows what a role may not see: held by comparison.

A role sees France alone, and three KPIs. What it must never read is found by asking the layer
itself: every value of the whole company and of the other countries that is no value of France.
"""

from __future__ import annotations

import base64
import io
import json
import re
import time

import anyio
import httpx
import httpx2
import openpyxl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from adbc_driver_manager import Error
from flight_clients import connect
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from cadran.access import tokens
from cadran.core.project import artifacts
from cadran.server.run import serving
from cadran.server.settings import Settings

POLICY = """
roles:
  france:
    metrics: [net_revenue, order_count, gross_margin_rate]
    dimensions: [customer__country, customer__segment]
    rows: ["customer__country = 'FR'"]
  board: {metrics: "*", dimensions: "*"}
"""
SEEN = ["net_revenue", "order_count", "gross_margin_rate"]
FRANCE = ["{{ Dimension('customer__country') }} = 'FR'"]
QUESTIONS = [
    {"metrics": SEEN, "group_by": ["metric_time__month"]},
    {"metrics": SEEN, "group_by": ["metric_time__quarter", "customer__country"]},
    {"metrics": ["net_revenue"], "group_by": ["customer__segment"], "order_by": ["-net_revenue"]},
    {"metrics": ["net_revenue"], "group_by": ["metric_time__month"],
     "where": ["customer__country = 'DE' or customer__country = 'FR'"]},
]  # fmt: skip
SECRET_KPIS = ("conversion_rate", "ticket_backlog", "refund_rate", "platform_availability")


@pytest.fixture(scope="module")
def houses(demo, layer, tmp_path_factory):  # noqa: ARG001 - `layer` holds that the demo was built
    """A server with a policy, and the secrets of two tokens."""
    home = tmp_path_factory.mktemp("policy")
    (home / "policy.yml").write_text(POLICY)
    secrets = {
        role: tokens.create(home / "tokens.json", role, roles=(role,))[0]
        for role in ("france", "board")
    }
    settings = Settings(
        port=0, flight_port=0, warm=False, refresh=0, policy=home / "policy.yml",
        tokens=home / "tokens.json", audit=home / "audit", link_tokens=True,
    )  # fmt: skip
    found = artifacts.find(None, demo.target / "semantic_manifest.json", demo.database)
    with serving(found, settings) as running:
        yield running, secrets


@pytest.fixture(scope="module")
def numbers(layer):
    """By question: what France has, and what only others or the whole company have."""
    found = []
    for question in QUESTIONS:
        where = question.get("where", [])
        ours = layer.query(**question | {"where": [*where, *FRANCE]}).to_arrow()
        allowed, whole = values(ours), set()
        for more in ([], ["customer__country"]):
            group_by = list(dict.fromkeys([*question["group_by"], *more]))
            for filters in (where, []):
                asked = question | {"group_by": group_by, "where": filters}
                whole |= values(layer.query(**asked).to_arrow())
        found.append((ours, whole - allowed))
    return found


def values(table):
    """Every value of a metric that tells, as exact text: amounts and rates, but no small counts."""
    cells = (
        value
        for name in table.column_names
        if name in SEEN
        for value in table.column(name).to_pylist()
        if value is not None
    )
    return {str(value) for value in cells if "." in str(value) and value not in {0, 1}}


def client(running, secret):
    return httpx.Client(
        base_url=running.http, headers={"authorization": f"Bearer {secret}"}, timeout=60
    )


def rest(running, secret, question, form):
    with client(running, secret) as http:
        answer = http.post("/api/v1/query", json=question | {"format": form})
        assert answer.status_code == 200, answer.text
        return answer.content


def over_json(running, secret, question):
    body = json.loads(rest(running, secret, question, "json"), parse_float=str)
    return pa.Table.from_pylist(body["rows"]), json.dumps(body)


def over_csv(running, secret, question):
    body = rest(running, secret, question, "csv").decode()
    names = body.splitlines()[0].split(",")
    options = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    return pa.csv.read_csv(io.BytesIO(body.encode()), convert_options=options), body


def over_arrow(running, secret, question):
    with pa.ipc.open_stream(rest(running, secret, question, "arrow")) as stream:
        table = stream.read_all()
    return table, str(table.to_pylist())


def over_parquet(running, secret, question):
    table = pq.read_table(io.BytesIO(rest(running, secret, question, "parquet")))
    return table, str(table.to_pylist()) + str(table.schema.metadata)


def over_sheets(running, secret, question):
    book = openpyxl.load_workbook(io.BytesIO(rest(running, secret, question, "xlsx")))
    rows = [list(map(str, row)) for sheet in book for row in sheet.iter_rows(values_only=True)]
    return None, str(rows)


def over_graphql(running, secret, question):
    given = {
        "metrics": [{"name": name} for name in question["metrics"]],
        "group": [{"name": name} for name in question["group_by"]],
        "where": [{"sql": text} for text in question.get("where", [])],
    }
    create = """mutation ($metrics: [MetricInput!], $group: [GroupByInput!], $where: [WhereInput!])
        { createQuery(environmentId: 1, metrics: $metrics, groupBy: $group, where: $where)
        { queryId } }"""
    poll = """query ($id: String!) { query(environmentId: 1, queryId: $id)
        { status sql error arrowResult } }"""
    with client(running, secret) as http:
        made = http.post("/api/graphql", json={"query": create, "variables": given}).json()
        number = made["data"]["createQuery"]["queryId"]
        for _ in range(100):
            body = {"query": poll, "variables": {"id": number}}
            told = http.post("/api/graphql", json=body).json()["data"]["query"]
            if told["status"] in {"SUCCESSFUL", "FAILED"}:
                break
            time.sleep(0.05)
    assert told["status"] == "SUCCESSFUL", told
    with pa.ipc.open_stream(base64.b64decode(told["arrowResult"])) as stream:
        table = stream.read_all()
    return table, str(table.to_pylist())


def over_flight(running, secret, question):
    words = ", ".join(f"{name}={value!r}" for name, value in question.items())
    with connect(running, secret) as opened, opened.cursor() as cursor:
        cursor.execute(f"select * from {{{{ semantic_layer.query({words}) }}}}")
        table = cursor.fetch_arrow_table()
    return table, str(table.to_pylist())


def over_mcp(running, secret, question):
    async def talk():
        headers = {"authorization": f"Bearer {secret}"}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(f"{running.http}/mcp", http_client=http)) as agent,
        ):
            return await agent.call_tool("query", question)

    told = anyio.run(talk)
    assert not told.is_error, told
    return None, told.model_dump_json()


WAYS = [
    over_json, over_csv, over_arrow, over_parquet, over_sheets, over_graphql, over_flight, over_mcp,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_role_reads_its_own_numbers_and_no_others_by_any_way(houses, numbers, way):
    running, secrets = houses
    for question, (ours, forbidden) in zip(QUESTIONS, numbers, strict=True):
        assert forbidden
        # The board asks first: what is kept of its answer must not come back.
        _, whole = way(running, secrets["board"], question)
        if not question.get("where"):
            assert any(value in whole for value in forbidden)
        table, text = way(running, secrets["france"], question)
        words = set(re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text))
        assert not words & forbidden, (question, words & forbidden)
        assert values(ours) & words or not values(ours)
        if table is not None:
            assert table.num_rows == ours.num_rows
        assert "'DE'" not in text.replace("customer__country = 'DE'", "")


def test_the_lists_of_a_role_hold_what_it_may_see_and_nothing_else(houses):
    running, secrets = houses
    with client(running, secrets["france"]) as http:
        told = [
            http.get(path).text
            for path in (
                "/api/v1/kpis", "/api/v1/metrics", "/api/v1/dimensions", "/api/v1/saved-queries",
                "/api/v1/kpis/net_revenue",
            )
        ]  # fmt: skip
        told.append(
            http.post(
                "/api/graphql",
                json={
                    "query": "{ metrics(environmentId: 1) { name description dimensions { name } }"
                    " savedQueries(environmentId: 1) { name } }"
                },
            ).text
        )
        countries = http.get(
            "/api/v1/values", params={"dimension": "customer__country", "metrics": "net_revenue"}
        )
    with connect(running, secrets["france"]) as opened, opened.cursor() as cursor:
        for listing in ("metrics()", "saved_queries()", "dimensions(metrics=['net_revenue'])"):
            cursor.execute(f"select * from {{{{ semantic_layer.{listing} }}}}")
            told.append(str(cursor.fetch_arrow_table().to_pylist()))
        told.append(str(opened.adbc_get_objects(depth="all").read_all().to_pylist()))
    for text in told:
        assert not [name for name in SECRET_KPIS if name in text], text[:300]
        assert "order_id__channel" not in text
    assert "FR" in countries.text
    assert not re.search(r'"(DE|ES|GB|IT|BE|NL)"', countries.text)


def test_a_refusal_tells_nothing_of_what_there_is(houses):
    running, secrets = houses
    for metric in (*SECRET_KPIS, "no_such_kpi"):
        with client(running, secrets["france"]) as http:
            answers = [
                http.post("/api/v1/query", json={"metrics": [metric]}),
                http.get(f"/api/v1/kpis/{metric}"),
                http.post("/api/v1/sql", json={"metrics": [metric]}),
            ]
        texts = [re.sub(re.escape(metric), "NAME", answer.text) for answer in answers]
        assert {answer.status_code for answer in answers} == {404}, answers
        with connect(running, secrets["france"]) as opened, opened.cursor() as cursor:
            statement = f"select * from {{{{ semantic_layer.query(metrics=[{metric!r}]) }}}}"
            with pytest.raises(Error) as refused:
                cursor.execute(statement)
        texts.append(str(refused.value).replace(metric, "NAME"))
        for text in texts:
            assert not [name for name in SECRET_KPIS if name in text], text


@pytest.mark.parametrize(
    "where",
    [
        "customer__country = 'DE'",
        "customer__country = 'FR' or 1 = 1",
        "customer__country is null or customer__country <> 'FR'",
        "not customer__country = 'FR'",
        "customer__country in (select country from marts.dim_customers)",
        "customer__country = 'FR') or (true",
        "{{ Metric('net_revenue', ['customer']) }} > 0",
        "order_id__channel = 'web'",
    ],
)
def test_no_filter_leads_out_of_the_rows_of_a_role(houses, layer, where):
    running, secrets = houses
    question = {"metrics": ["net_revenue"], "where": [where]}
    with client(running, secrets["france"]) as http:
        answer = http.post("/api/v1/query", json=question)
    if answer.status_code == 200:
        of_france = layer.query(["net_revenue"], where=FRANCE).to_arrow().to_pylist()
        figures = {row["net_revenue"] for row in answer.json()["rows"]}
        assert figures <= {None, *(str(row["net_revenue"]) for row in of_france)} | {
            float(row["net_revenue"]) for row in of_france
        }
    else:
        assert answer.status_code in {400, 403, 404}, answer.text
