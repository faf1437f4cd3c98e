"""Until when numbers are whole: the mark leaves with every answer, by whatever face it is asked.

The shop of five orders ends on 3 February, so January is its only whole month.
"""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import zipfile
from dataclasses import replace
from unittest import mock
from urllib.parse import unquote

import anyio
import httpx
import pyarrow as pa
import pytest
from flight_clients import connect
from mcp import Client

from cadran.cli import main
from cadran.core.project.artifacts import find
from cadran.core.warehouse.duckdb import DuckDB
from cadran.server.run import serving
from cadran.server.settings import Settings

UNTIL = {"orders": "2026-02-03"}
RUNNING = "The month of 2026-02-01 is not complete: orders holds data until 2026-02-03."
MONTHS = {"metrics": ["orders"], "group_by": ["metric_time__month"]}
CREATE = """
mutation ($complete: Boolean, $limit: Int) {
  createQuery(environmentId: 1, metrics: [{name: "orders"}], complete: $complete, limit: $limit,
              groupBy: [{name: "metric_time", grain: MONTH}]) { queryId }
}"""
ANSWER = """
query ($id: String!) {
  query(environmentId: 1, queryId: $id) {
    status note arrowResult watermark completeThrough { metric day }
  }
}"""


@pytest.fixture(scope="module")
def served(tiny, tmp_path_factory):
    home = tmp_path_factory.mktemp("complete")
    apart = {name: home / name for name in ("tokens", "policy", "audit")}
    settings = replace(Settings(port=0, flight_port=0, warm=False, refresh=0.0), **apart)
    with serving(find(None, tiny, tiny.parents[1] / "tiny.duckdb"), settings) as running:
        yield running


@pytest.fixture(scope="module")
def rest(served):
    with httpx.Client(base_url=f"{served.http}/api/v1", timeout=30) as client:
        yield client


def test_rest_marks_the_running_month_and_leaves_it_out_where_that_is_asked(rest):
    every = rest.post("/query", json=MONTHS).json()
    assert [row["orders"] for row in every["rows"]] == [2, 3]
    assert every["meta"]["complete_through"] == UNTIL
    assert every["meta"]["note"] == RUNNING
    whole = rest.post("/query", json=MONTHS | {"complete": True}).json()
    assert [row["orders"] for row in whole["rows"]] == [2]
    assert whole["meta"]["note"] == ""
    link = {"metrics": "orders", "group_by": "metric_time__month", "complete": "true"}
    assert rest.get("/query", params=link).json()["rows"] == whole["rows"]
    sql = rest.post("/sql", json=MONTHS | {"complete": True}).json()["sql"]
    assert "2026-01-31" in sql or "2026-02-01" in sql
    refused = rest.post("/query", json={"metrics": ["orders"], "complete": True})
    assert refused.status_code == 400
    assert "metric_time__month" in refused.json()["detail"]


def test_files_carry_the_mark_where_their_form_has_a_place_for_it(rest):
    csv = rest.post("/query", json=MONTHS | {"format": "csv"})
    assert csv.headers["cadran-complete-through"] == "orders=2026-02-03"
    assert unquote(csv.headers["cadran-note"]) == RUNNING
    arrow = rest.post("/query", json=MONTHS | {"format": "arrow"}).content
    said = json.loads(pa.ipc.open_stream(arrow).schema.metadata[b"cadran"])
    assert (said["complete_through"], said["note"]) == (UNTIL, RUNNING)
    revenue = {"metrics": ["revenue"], "group_by": ["metric_time__month"], "format": "xlsx"}
    book = zipfile.ZipFile(io.BytesIO(rest.post("/query", json=revenue).content))
    words = book.read("xl/sharedStrings.xml").decode()
    assert "<t>Data until</t></si><si><t>2026-02-03</t>" in words
    assert "revenue holds data until 2026-02-03." in words


def test_the_description_says_how_ranges_are_widened_and_what_complete_means(rest):
    document = rest.get("/openapi.json").json()
    parameters = {
        entry["name"]: entry for entry in document["paths"]["/query"]["get"]["parameters"]
    }
    assert "widened to whole periods" in parameters["start"]["description"]
    assert "whole in the data" in parameters["complete"]["description"]
    answer = document["components"]["schemas"]["Answer"]["properties"]["meta"]
    assert "complete_through" in answer["required"]


def test_graphql_marks_and_leaves_out_alike(served):
    def asked(complete, limit=None):
        with httpx.Client(base_url=served.http, timeout=30) as client:

            def call(text, **variables):
                body = {"query": text, "variables": variables}
                return client.post("/api/graphql", json=body).json()["data"]

            number = call(CREATE, complete=complete, limit=limit)["createQuery"]["queryId"]
            while True:
                answer = call(ANSWER, id=number)["query"]
                if answer["status"] in {"SUCCESSFUL", "FAILED"}:
                    return answer

    every = asked(complete=None)
    assert every["note"] == RUNNING
    assert every["completeThrough"] == [{"metric": "orders", "day": "2026-02-03"}]
    assert every["watermark"] is None
    rows = pa.ipc.open_stream(base64.b64decode(asked(complete=True)["arrowResult"])).read_all()
    assert rows.column("orders").to_pylist() == [2]
    live = dt.datetime(2026, 2, 3, 9, 30, 1, tzinfo=dt.UTC)
    with mock.patch.object(DuckDB, "watermark", return_value=live):
        assert asked(complete=None, limit=7)["watermark"] == "2026-02-03T09:30:01Z"


def test_flight_marks_in_the_schema_and_leaves_out_alike(served):
    by_month = "metrics=['orders'], group_by=['metric_time__month']"
    with connect(served) as connection, connection.cursor() as cursor:
        cursor.execute(f"{{{{ semantic_layer.query({by_month}) }}}}")
        table = cursor.fetch_arrow_table()
        said = json.loads(table.schema.metadata[b"cadran"])
        assert (said["complete_through"], said["note"]) == (UNTIL, RUNNING)
        cursor.execute(f"{{{{ semantic_layer.query({by_month}, complete=True) }}}}")
        assert cursor.fetch_arrow_table().column("orders").to_pylist() == [2]


def test_agents_are_warned_and_can_leave_it_out(served):
    async def talk():
        async with Client(f"{served.http}/mcp") as client:
            every = await client.call_tool("query", MONTHS)
            return every, await client.call_tool("query", MONTHS | {"complete": True})

    every, whole = anyio.run(talk)
    assert every.structured_content["complete_through"] == UNTIL
    assert RUNNING in every.structured_content["warnings"]
    assert [row["orders"] for row in whole.structured_content["rows"]] == [2]


def test_the_command_line_says_it_beside_the_rows(tiny, capsys):
    place = ["--manifest", str(tiny), "--database", str(tiny.parents[1] / "tiny.duckdb")]
    asked = ["query", "orders", "--group-by", "metric_time__month", "--format", "csv", *place]
    assert main(asked) == 0
    assert RUNNING in capsys.readouterr().err
    assert main([*asked, "--complete"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[1:] == ["2026-01-01,2"]
    assert said.err == ""


def test_nothing_is_complete_yet_from_a_day_within_the_running_month(shop):
    empty = shop.query("orders", "metric_time__month", start="2026-02-02", complete=True)
    assert empty.to_arrow().num_rows == 0
    assert empty.complete_through == {"orders": dt.date(2026, 2, 3)}
