"""A value is a value: brackets, quotes, percent signs and backslashes mean themselves."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import time
from dataclasses import replace

import anyio
import dax
import duckdb
import httpx
import httpx2
import pytest
from flight_clients import connect
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

import cadran
from cadran.access import tokens
from cadran.cli import main
from cadran.core.project import artifacts
from cadran.exports.powerbi import dates, pbip
from cadran.exports.powerbi.measures import Measures
from cadran.exports.powerbi.model import Model
from cadran.exports.powerbi.planner import Plan
from cadran.exports.powerbi.star import Star
from cadran.governance.publish import publish
from cadran.server.run import serving
from cadran.server.settings import Settings

NASTY = [
    "/v1/stock/{id}", "{{ id }}", "{{", "}}", "{%", "{% raw %}", "{# note #}", "{{{ '{' }}}",
    "{{ Dimension('customer__country') }}", "it's", "''", 'say "so"', "100 %", "%s %(name)s %%",
    "C:\\new\\table", "\\", "\\' or 1=1 --", "$1 ? :name @x", "$$", "; drop table orders",
    "/* note */ -- end", "cadran_field_0", "'x'[y]", "a, b", " padded ", "é ☕ 日本",
]  # fmt: skip
AT = range(len(NASTY))
BY_MONTH = {"metrics": ["revenue"], "group_by": ["metric_time__month"]}


def quoted(at):
    """A value as SQL writes it."""
    return "'" + NASTY[at].replace("'", "''") + "'"


def template(at):
    """A filter for one value, as it stands in YAML."""
    return f"{{{{ Dimension('order_id__channel') }}}} = {quoted(at)}"


def filtered(at):
    """The same, by the plain name and by the template in turn."""
    return template(at) if at % 2 else f"order_id__channel = {quoted(at)}"


def amount(at):
    """What the one order with that value amounts to."""
    return at + 1 + 0.25


@pytest.fixture(scope="module")
def root(tiny, tmp_path_factory):
    """The shop as a project, with one order in March for each value, published once."""
    folder = tmp_path_factory.mktemp("nasty")
    (folder / "dbt_project.yml").write_text("name: sample\nprofile: sample\n")
    os.utime(folder / "dbt_project.yml", (0, 0))  # older than what dbt made of it
    shutil.copytree(tiny.parent, folder / "target")
    shutil.copy(tiny.parents[1] / "tiny.duckdb", folder / "tiny.duckdb")
    with duckdb.connect(str(folder / "tiny.duckdb")) as connection:
        connection.executemany(
            "insert into shop.orders values (?, 'c1', ?, date '2026-02-04', null, ?)",
            [(f"n{at}", NASTY[at], amount(at)) for at in AT],
        )
    manifest = json.loads(tiny.read_text())
    saved = manifest["saved_queries"][0]
    for at in AT:
        where = {"where_filters": [{"where_sql_template": template(at)}]}
        name = {"name": f"saved_{at}", "label": f"saved {at}"}
        params = saved["query_params"] | {
            "group_by": ["TimeDimension('metric_time', 'month')"], "where": where, "limit": None,
        }  # fmt: skip
        manifest["saved_queries"].append(saved | name | {"query_params": params})
    (folder / "target" / "semantic_manifest.json").write_text(json.dumps(manifest))
    layer = cadran.open(folder, database=folder / "tiny.duckdb")
    publish(layer, ["revenue"], author="data@example.com")
    layer.close()
    return folder


@pytest.fixture(scope="module")
def opened(root):
    layer = cadran.open(root, database=root / "tiny.duckdb")
    yield layer
    layer.close()


@pytest.fixture(scope="module")
def served(root, tmp_path_factory):
    """A server of it with a role for each value, and the secret of each role."""
    home = tmp_path_factory.mktemp("nasty_server")
    roles = {f"role_{at}": {"metrics": "*", "rows": [filtered(at)]} for at in AT}
    roles["all"] = {"metrics": "*", "dimensions": "*"}
    (home / "policy.yml").write_text(json.dumps({"roles": roles}))
    secrets = {role: tokens.create(home / "tokens.json", role, roles=(role,))[0] for role in roles}
    settings = replace(
        Settings(port=0, flight_port=0, warm=False, refresh=0.0), audit=home / "audit",
        tokens=home / "tokens.json", policy=home / "policy.yml",
    )  # fmt: skip
    with serving(artifacts.find(root, None, root / "tiny.duckdb"), settings) as running:
        yield running, secrets


@pytest.fixture(scope="module")
def web(served):
    running, secrets = served
    headers = {"authorization": f"Bearer {secrets['all']}"}
    with httpx.Client(base_url=running.http, headers=headers, timeout=60) as client:
        yield client


def revenues(rows):
    return [float(row["revenue"]) for row in rows]


@pytest.mark.parametrize("at", AT)
def test_python_finds_the_one_order(opened, at):
    assert revenues(opened.query(**BY_MONTH, where=filtered(at)).to_arrow().to_pylist()) == [
        amount(at)
    ]
    either = f"{filtered(at)} or order_id__channel in ({quoted(at - 1)})"
    both = opened.query(["revenue"], where=either).to_arrow().to_pylist()
    assert revenues(both) == [amount(at) + amount((at - 1) % len(NASTY))]


@pytest.mark.parametrize("at", AT)
def test_the_command_line_finds_it(root, capsys, at):
    code = main(
        ["query", "revenue", "--group-by", "metric_time__month", "--where", filtered(at),
         "--project-dir", str(root), "--database", str(root / "tiny.duckdb"), "--format", "csv"]
    )  # fmt: skip
    assert code == 0
    assert revenues(csv.DictReader(io.StringIO(capsys.readouterr().out))) == [amount(at)]


@pytest.mark.parametrize("at", AT)
def test_rest_finds_it_from_a_link_and_from_a_body(web, at):
    link = {"metrics": "revenue", "group_by": "metric_time__month", "where": filtered(at)}
    body = BY_MONTH | {"where": [filtered(at)]}
    for reply in (
        web.get("/api/v1/query", params=link), web.post("/api/v1/query", json=body),
    ):  # fmt: skip
        assert reply.status_code == 200, reply.text
        assert revenues(reply.json()["rows"]) == [amount(at)]


@pytest.mark.parametrize("at", AT)
def test_graphql_finds_it(web, at):
    create = """mutation ($where: [WhereInput!]) { createQuery(environmentId: 1,
        metrics: [{name: "revenue"}], groupBy: [{name: "metric_time__month"}], where: $where)
        { queryId } }"""
    poll = """query ($id: String!) { query(environmentId: 1, queryId: $id)
        { status error jsonResult(encoded: false, orient: RECORDS) } }"""
    given = {"query": create, "variables": {"where": [{"sql": filtered(at)}]}}
    number = web.post("/api/graphql", json=given).json()["data"]["createQuery"]["queryId"]
    for _ in range(100):
        asked = {"query": poll, "variables": {"id": number}}
        told = web.post("/api/graphql", json=asked).json()["data"]["query"]
        if told["status"] in {"SUCCESSFUL", "FAILED"}:
            break
        time.sleep(0.05)
    assert told["status"] == "SUCCESSFUL", told
    assert revenues(json.loads(told["jsonResult"])) == [amount(at)]


@pytest.mark.parametrize("at", AT)
def test_flight_finds_it(served, at):
    running, secrets = served
    with connect(running, secrets["all"]) as opened, opened.cursor() as cursor:
        words = f"metrics=['revenue'], where=[{filtered(at)!r}]"
        cursor.execute(f"select * from {{{{ semantic_layer.query({words}) }}}}")
        assert revenues(cursor.fetch_arrow_table().to_pylist()) == [amount(at)]


@pytest.mark.parametrize("at", AT)
def test_agents_find_it(served, at):
    running, secrets = served

    async def talk():
        headers = {"authorization": f"Bearer {secrets['all']}"}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(f"{running.http}/mcp", http_client=http)) as agent,
        ):
            return await agent.call_tool("query", BY_MONTH | {"where": [filtered(at)]})

    told = anyio.run(talk)
    assert not told.is_error, told
    assert revenues(told.structured_content["rows"]) == [amount(at)]


@pytest.mark.parametrize("at", AT)
def test_a_role_sees_the_one_order(served, at):
    running, secrets = served
    headers = {"authorization": f"Bearer {secrets[f'role_{at}']}"}
    reply = httpx.post(
        f"{running.http}/api/v1/query", json=BY_MONTH, headers=headers, timeout=60
    )  # fmt: skip
    assert reply.status_code == 200, reply.text
    assert revenues(reply.json()["rows"]) == [amount(at)]


@pytest.mark.parametrize("at", AT)
def test_a_saved_query_finds_it(opened, web, at):
    assert revenues(opened.query(saved_query=f"saved_{at}").to_arrow().to_pylist()) == [amount(at)]
    reply = web.get("/api/v1/query", params={"saved_query": f"saved_{at}"})
    assert revenues(reply.json()["rows"]) == [amount(at)], reply.text


@pytest.mark.parametrize("view", ["published", "both"])
@pytest.mark.parametrize("at", AT)
def test_the_ledger_finds_it(opened, view, at):
    asked = {"metrics": ["revenue"], "group_by": ["metric_time__month", "order_id__channel"]}
    found = opened.query(**asked, where=filtered(at), view=view).to_arrow().to_pylist()
    assert revenues(found) == [amount(at)]
    assert found[0]["order_id__channel"] == NASTY[at]


def test_power_bi_finds_each(root, tmp_path):
    opened = cadran.open(root, database=root / "tiny.duckdb")
    metrics = opened.project.semantic_manifest["metrics"]
    like = next(metric for metric in metrics if metric["name"] == "web_amount")
    for at in AT:
        where = {"where_filters": [{"where_sql_template": template(at)}]}
        metrics.append(like | {"name": f"nasty_{at}", "label": f"nasty {at}", "filter": where})
    star = Star(opened)
    star.dimension("orders", "order_id__channel")
    measures = Measures(opened, star)
    for at in AT:
        measures.of(f"nasty_{at}")
    tables = (dates.table(), *star.tables)
    model = Model("tiny", tables, tuple(star.relationships), tuple(measures.by_key.values()))
    pbip.write(
        opened, Plan(model, {dates.TABLE: dates.rows(opened)}), tmp_path / "project",
        data=tmp_path / "data", data_as=None, say=lambda _: None,
    )  # fmt: skip
    read = dax.Model(tmp_path / "project" / "tiny.SemanticModel" / "definition", tmp_path / "data")
    of = {one.annotation("cadran_metric"): name for name, one in read.measures.items()}
    for at in AT:
        found = read.answer(of[f"nasty_{at}"], [])
        assert [float(value) for value in found.values()] == [amount(at)], NASTY[at]
    opened.close()
