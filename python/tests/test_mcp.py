"""Agents: the layer's numbers through the SDK's own client, over HTTP and over stdio."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import anyio
import duckdb
import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

import cadran
from cadran.access.gate import Allowed, OpenGate
from cadran.core.project import artifacts
from cadran.core.warehouse import ledger_sql
from cadran.formats.encoding import plain
from cadran.governance.publish import publish

pytest_plugins = ("rest_fixtures",)

TOOLS = [
    "list_kpis", "search_kpis", "kpi_card", "query", "dimension_values", "explain", "drivers",
    "forecast", "anomalies", "impact",
]  # fmt: skip
QUARTERS = {
    "metrics": ["net_revenue", "gross_margin_rate"],
    "group_by": ["metric_time__quarter", "customer__country"],
    "start": "2026-01-01",
}
MONTHS = {"metrics": ["net_revenue"], "group_by": ["metric_time__month"]}


def ask(target, *calls, mode="auto"):
    """What the SDK's client gets for some calls, one after another."""

    async def talk():
        async with Client(target, mode=mode) as client:
            return [await client.call_tool(name, given) for name, given in calls]

    return anyio.run(talk)


def text(result):
    return result.content[0].text


@pytest.fixture(scope="session")
def address(rest_server):
    return f"{rest_server.http}/mcp"


@pytest.fixture(scope="module")
def stdio(demo):
    """How an agent starts the command."""
    flags = ["--manifest", str(demo.target / "semantic_manifest.json")]
    flags += ["--database", str(demo.database)]
    return StdioServerParameters(
        command=sys.executable, args=["-m", "cadran", "mcp", *flags], env=dict(os.environ)
    )


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("transport", ["address", "stdio"])
def test_every_transport_gives_the_numbers_of_the_layer(request, layer, transport, mode):
    target = request.getfixturevalue(transport)
    rows = layer.query(**QUARTERS).to_arrow().to_pylist()
    calls = [("query", QUARTERS), ("dimension_values", {"dimension": "customer__country"})]
    found, values = ask(target, *calls, mode=mode)
    assert not found.is_error
    assert found.structured_content["rows"] == plain(rows)
    assert str(rows[0]["net_revenue"]) in text(found)
    assert values.structured_content["values"] == layer.dimension_values("customer__country")


def test_the_tools_say_what_they_take_and_give(address):
    async def talk():
        async with Client(address) as client:
            return client.instructions, (await client.list_tools()).tools

    instructions, tools = anyio.run(talk)
    assert "search_kpis" in instructions
    assert [tool.name for tool in tools] == TOOLS
    for tool in tools:
        assert tool.input_schema["additionalProperties"] is False
        assert tool.output_schema["type"] == "object"
        assert tool.annotations.read_only_hint is True
        assert all(one["description"] for one in tool.input_schema["properties"].values())


def test_a_value_comes_with_unit_definition_and_version(address):
    (found,) = ask(address, ("query", MONTHS | {"limit": 1}))
    told = found.structured_content
    kpi = told["kpis"]["net_revenue"]
    assert (kpi["unit"], kpi["versions"]) == ("EUR", [1])
    assert kpi["definition"].startswith("Amounts of all order lines")
    assert told["like_for_like"] is True
    assert told["breaks"] == told["warnings"] == []
    assert "unit EUR, version 1" in text(found)
    assert "Not for: cash collected" in text(found)


def test_a_question_finds_its_kpi_and_a_change_is_asked_and_not_subtracted(address, layer):
    months = {"metrics": ["net_revenue"], "group_by": ["metric_time__month"],
              "start": "2026-09-01", "end": "2026-10-31", "compare": "year"}  # fmt: skip
    found, nothing, compared = ask(
        address,
        ("search_kpis", {"question": "Combien avons-nous vendu en octobre ?", "lang": "fr"}),
        ("search_kpis", {"question": "xyzzy"}),
        ("query", months),
    )
    first = found.structured_content["kpis"][0]
    assert (first["name"], first["label"]) == ("net_revenue", "Chiffre d'affaires net")
    assert "vendu" in first["words"]
    assert "Do not answer from another number" in text(nothing)
    rows = layer.query(**months).to_arrow().to_pylist()
    assert compared.structured_content["rows"] == plain(rows)
    assert "net_revenue__change_percent (percent)" in text(compared)
    assert str(rows[0]["net_revenue__change"]) in text(compared)


def test_the_card_and_the_list_say_what_may_be_asked(address, layer):
    listed, card, french = ask(
        address,
        ("list_kpis", {}),
        ("kpi_card", {"kpi": "net_revenue"}),
        ("list_kpis", {"tier": "strategic", "lang": "fr"}),
    )
    names = [one["name"] for one in listed.structured_content["kpis"]]
    assert names == [one.name for one in layer.kpis()]
    assert "kpi_monthly_strategic" in text(listed)
    told = card.structured_content["kpi"]
    assert told["dimensions"] == list(layer.card("net_revenue").dimensions)
    assert card.structured_content["versions"][0]["version"] == 1
    assert "Chiffre d'affaires net" in text(french)
    assert {one["tier"] for one in french.structured_content["kpis"]} == {"strategic"}


@pytest.mark.parametrize(
    ("tool", "given", "words"),
    [
        ("query", {"metrics": ["net_revenue"], "group_by": ["metric_time__hour"]}, "Ask head.of"),
        ("query", {"metrics": ["net_revnue"]}, "Did you mean 'net_revenue'?"),
        ("query", {"metric": ["net_revenue"]}, "Did you mean 'metrics'?"),
        ("query", {"metrics": ["net_revenue"], "where": ["1; drop table x"]}, "is refused"),
        ("query", MONTHS | {"view": "published"}, "Nothing was published yet"),
        ("kpi_card", {"kpi": "order_net_amount"}, "There is no KPI 'order_net_amount'"),
        ("dimension_values", {}, "dimension is missing"),
        ("explain", {"kpi": "net_revenue", "period": "2026-13"}, "is no period"),
        ("kpi_crad", {"kpi": "net_revenue"}, "Did you mean 'kpi_card'?"),
    ],
)
def test_what_is_forbidden_or_wrong_is_refused_in_the_words_of_the_layer(
    address, tool, given, words
):
    (refused,) = ask(address, (tool, given))
    assert refused.is_error
    assert words in text(refused)


def test_rows_that_are_left_out_are_told(address):
    days = {"metrics": ["net_revenue"], "group_by": ["metric_time__day"]}
    few, many = ask(address, ("query", days | {"max_rows": 5}), ("query", days | {"max_rows": 999}))
    told = few.structured_content
    assert len(told["rows"]) == 5
    assert told["total_rows"] == len(many.structured_content["rows"])
    assert told["rows_left_out"] == told["total_rows"] - 5
    assert "rows are left out" in text(few)


def test_a_kpi_is_explained_by_its_sql_and_sources(address, layer):
    (found,) = ask(address, ("explain", {"kpi": "net_revenue"}))
    told = found.structured_content
    assert told["sql"] == layer.sql("net_revenue", "metric_time__month")
    assert "shop.order_lines" in told["sources"]
    assert "fct_order_lines" in told["models"]


@pytest.fixture(scope="module")
def restated(demo, tmp_path_factory, another):
    """A server of a company that published, took late data in, and changed a definition."""
    root = tmp_path_factory.mktemp("restated")
    (root / "dbt_project.yml").write_text("name: sample\nprofile: sample\n")
    (root / "cadran_ledger.yml").write_text("grains: [month]\n")
    (root / "target").mkdir()
    for name in ("semantic_manifest.json", "manifest.json"):
        shutil.copy(demo.target / name, root / "target" / name)
    database = root / "warehouse.duckdb"
    shutil.copy(demo.database, database)
    layer = cadran.open(root, database=database)
    publish(layer, ["net_revenue"], author="data@example.com")
    layer.close()
    with duckdb.connect(database) as connection:
        connection.execute(
            """update marts.fct_order_lines set amount = amount + 100 where order_line_id = (
            select min(order_line_id) from marts.fct_order_lines
            where booked_date = date '2026-09-15')"""
        )
        # As if all that was published from October on came from a second version.
        connection.execute(
            f"update {ledger_sql.ROWS} set version = 2 where period >= timestamp '2026-10-01'"
        )
    with another(artifacts.find(root, None, database)) as running:
        yield running


def test_an_explained_value_goes_from_the_published_one_to_that_of_now(restated):
    given = {"kpi": "net_revenue", "period": "2026-09"}
    (found,) = ask(f"{restated.http}/mcp", ("explain", given))
    told = found.structured_content
    steps = {step["step"]: step for step in told["steps"]}
    layer = restated.server_context.service.snapshots.current.layer
    september = {"start": "2026-09-01", "end": "2026-09-30"}
    (now,) = layer.query(**MONTHS, **september).to_arrow().column("net_revenue").to_pylist()
    assert steps["data"]["amount"] == 100
    assert Decimal(str(steps["now"]["amount"])) == now
    assert Decimal(str(steps["published"]["amount"])) == now - 100
    assert told["unit"] == "EUR"
    assert "reaching" in text(found)


def test_values_on_both_sides_of_a_break_are_said_not_to_be_like_for_like(restated):
    given = MONTHS | {"view": "published", "start": "2026-08-01"}
    found, apart = ask(
        f"{restated.http}/mcp", ("query", given), ("query", given | {"end": "2026-09-30"})
    )
    told = found.structured_content
    assert told["like_for_like"] is False
    assert told["kpis"]["net_revenue"]["versions"] == [1, 2]
    (broken,) = told["breaks"]
    assert (broken["period"], broken["before"], broken["after"]) == ("2026-10-01", 1, 2)
    assert "value_before" not in broken
    assert "do not compare them" in text(found)
    assert apart.structured_content["like_for_like"] is True
    meta = httpx.get(
        f"{restated.http}/api/v1/query",
        params={"metrics": "net_revenue", "group_by": "metric_time__month", "view": "published"},
    )
    assert meta.json()["meta"]["like_for_like"] is False
    assert meta.headers["cadran-like-for-like"] == "false"
    breaks = httpx.get(f"{restated.http}/api/v1/kpis/net_revenue").json()["breaks"]
    assert [one["period"] for one in breaks] == ["2026-10-01"]


class Partly(OpenGate):
    """Lets everybody see the web's part only."""

    def allow(self, caller, question, layer):
        allowed = super().allow(caller, question, layer)
        query = replace(allowed.query, confined=("order_id__channel = 'web'",))
        return Allowed(query, role="web")


def test_who_sees_a_part_gets_no_published_whole(restated, monkeypatch):
    monkeypatch.setattr(restated.server_context.service, "gate", Partly())
    restated.server_context.service._authorizations.clear()
    (refused,) = ask(
        f"{restated.http}/mcp", ("explain", {"kpi": "net_revenue", "period": "2026-09"})
    )
    restated.server_context.service._authorizations.clear()
    assert refused.is_error
    assert "your role sees a part" in text(refused)


def test_http_asks_who_it_is(address, rest_server, known, monkeypatch):
    monkeypatch.setattr(rest_server.server_context, "who", known)

    @asynccontextmanager
    async def bearing(token):
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(address, http_client=http)) as client,
        ):
            yield client

    async def talk(token, tool, given):
        async with bearing(token) as client:
            return await client.call_tool(tool, given)

    assert not anyio.run(talk, "asks", "query", MONTHS).is_error
    refused = anyio.run(talk, "asks", "list_kpis", {})
    assert refused.is_error
    assert "lacks the scope 'metadata'" in text(refused)
    for headers in ({}, {"Authorization": "Bearer nobody"}):
        reply = httpx.post(address, json={}, headers=headers)
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert reply.json()["error"] == "invalid_token"


def test_no_web_page_reaches_the_tools(address):
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"Accept": "application/json, text/event-stream"}
    assert httpx.post(address, json=body, headers=headers).status_code == 200
    origin = headers | {"Origin": "https://evil.example"}
    assert httpx.post(address, json=body, headers=origin).status_code == 403
    host = headers | {"Host": "rebound.example"}
    assert httpx.post(address, json=body, headers=host).status_code == 421


ENDLESS = "select count(*) as n from range(20000) a, range(20000) b, range(20000) c"


def test_a_question_stops_when_its_agent_goes(address, rest_server, monkeypatch):
    service = rest_server.server_context.service
    layer = service.snapshots.current.layer
    seen, begun = [], threading.Event()

    def endless(_):
        begun.set()
        return layer.warehouse.arrow(ENDLESS)

    monkeypatch.setattr(service, "audit", SimpleNamespace(write=seen.append, close=lambda: None))
    monkeypatch.setattr(layer, "answer", endless)

    async def talk():
        async with Client(address) as client:
            with anyio.move_on_after(1):
                await client.call_tool("query", {"metrics": ["order_count"], "limit": 7})

    anyio.run(talk)
    assert begun.is_set()
    until = time.monotonic() + 10
    while not seen and time.monotonic() < until:
        time.sleep(0.02)
    assert [(entry.protocol, entry.outcome) for entry in seen] == [("mcp", "stopped")]
