"""The real dbt-mcp asks a server through every tool of its semantic layer.

It is installed once into an environment of its own (scripts/dbt_mcp.sh), so this runs where
CADRAN_TEST_CLIENTS is set.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
from datetime import date
from io import StringIO
from pathlib import Path

import anyio
import pytest
from flight_fixtures import TwoTokens, server
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from cadran.access import authorize

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "dbt_mcp.sh"
TOOLS = {
    "list_metrics", "list_saved_queries", "get_dimensions", "get_entities", "get_dimension_values",
    "query_metrics", "get_metrics_compiled_sql",
}  # fmt: skip
BY_MONTH = {"name": "metric_time", "type": "time_dimension", "grain": "month"}
BY_COUNTRY = {"name": "customer__country", "type": "dimension"}
CALLS = {
    "every metric": ("list_metrics", {}),
    "one word": ("list_metrics", {"search": "revenue"}),
    "two words": ("list_metrics", {"search": ["refund", "ticket"]}),
    "second page": ("list_metrics", {"page_size": 3, "page_num": 2}),
    "saved queries": ("list_saved_queries", {"search": "strategic"}),
    "dimensions": ("get_dimensions", {"metrics": ["net_revenue"]}),
    "segments": ("get_dimensions", {"metrics": ["net_revenue"], "search": "segment"}),
    "entities": ("get_entities", {"metrics": ["order_net_amount"]}),
    "numbers": (
        "query_metrics",
        {
            "metrics": ["net_revenue", "order_count"],
            "group_by": [BY_MONTH, BY_COUNTRY],
            "order_by": [{"name": "metric_time", "descending": True}, {"name": "net_revenue"}],
            "where": "{{ TimeDimension('metric_time', 'month') }} >= '2026-01-01'"
            " and {{ Dimension('customer__country') }} in ('FR', 'BE')",
            "limit": 5,
        },
    ),
    "values": (
        "get_dimension_values",
        {"dimension": "customer__country", "metrics": ["net_revenue"]},
    ),
    "sql": ("get_metrics_compiled_sql", {"metrics": ["net_revenue"], "group_by": [BY_MONTH]}),
    "unknown metric": ("query_metrics", {"metrics": ["net_revenu"]}),
    "not on the card": (
        "query_metrics",
        {"metrics": ["net_revenue"], "group_by": [{"name": "customer", "type": "entity"}]},
    ),
    "unknown dimension": (
        "get_dimension_values",
        {"dimension": "nobody__knows", "metrics": ["net_revenue"]},
    ),
}
PAGE = (SCRIPT.parents[1] / "docs" / "bi.md").read_text(encoding="utf-8")
(SETTINGS,) = [
    json.loads(block)["mcpServers"]["dbt"]["env"]
    for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL) if "dbt-mcp" in block
]  # fmt: skip

pytestmark = pytest.mark.skipif(
    not os.environ.get("CADRAN_TEST_CLIENTS"),
    reason="dbt-mcp takes a minute to install: set CADRAN_TEST_CLIENTS, or run `make test-clients`",
)


@pytest.fixture(scope="module")
def program():
    installed = subprocess.run([SCRIPT], capture_output=True, text=True, check=False, timeout=900)
    if "No Python" in installed.stderr:
        pytest.skip(f"dbt-mcp needs Python 3.12 or 3.13. {installed.stderr.strip()}")
    assert installed.returncode == 0, installed.stderr
    return installed.stdout.strip()


@pytest.fixture(scope="module")
def running(demo, layer):  # noqa: ARG001 - `layer` holds that the demo was built
    """A server with tokens for alice and bob."""
    before = authorize.authenticator
    authorize.authenticator = lambda *_: TwoTokens()
    try:
        with server(demo) as found:
            yield found
    finally:
        authorize.authenticator = before


@pytest.fixture(scope="module")
def ask(program, running, tmp_path_factory):
    """What dbt-mcp lists as its tools and answers to calls, set up as docs/bi.md says."""
    folder = tmp_path_factory.mktemp("agent")  # where it would read a .env

    def asked(calls, token):
        addresses = {"localhost:8765": running.http.replace("http://127.0.0.1", "localhost"),
                     "grpc://127.0.0.1:8766": running.flight, "TOKEN": token}  # fmt: skip
        settings = {name: addresses.get(value, value) for name, value in SETTINGS.items()}
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DO_NOT_TRACK": "1",
        } | settings
        parameters = StdioServerParameters(command=program, env=environment, cwd=folder)

        async def talk():
            async with Client(parameters) as client:
                tools = {tool.name for tool in (await client.list_tools()).tools}
                return tools, {name: await client.call_tool(*call) for name, call in calls.items()}

        return anyio.run(talk)

    return asked


@pytest.fixture(scope="module")
def answers(ask):
    """What one dbt-mcp answers to every call, since it takes seconds to start."""
    tools, answered = ask(CALLS, "for-alice")
    assert tools == TOOLS
    return answered


def text(result):
    assert not result.is_error, result.content[0].text
    return result.content[0].text


def test_metrics_are_listed_searched_and_paged(answers, layer):
    def names(result):
        lines = json.loads(text(result))["result"].splitlines()
        table = StringIO("\n".join(line for line in lines if not line.startswith("# Note")))
        return [row["name"] for row in csv.DictReader(table)]

    every_name, second = names(answers["every metric"]), answers["second page"]
    cards = {card.name for card in layer.kpis()}
    assert cards <= set(every_name)
    assert (
        {"net_revenue", "revenue_growth_yoy"} <= set(names(answers["one word"])) < set(every_name)
    )
    assert "refund_rate" in names(answers["two words"])
    assert names(second) == every_name[3:6]
    assert json.loads(text(second))["pagination"]["next_page"] == 3
    assert layer.card("net_revenue").description in text(answers["one word"])


def test_saved_queries_dimensions_and_entities_are_those_of_the_layer(answers, layer):
    (strategic,) = json.loads(text(answers["saved queries"]))["result"]
    assert strategic["name"] == "kpi_monthly_strategic"
    answer = layer.query(saved_query="kpi_monthly_strategic", limit=1).to_arrow()
    assert strategic["metrics"] == answer.column_names[1:]
    listed = {row["name"]: row for row in json.loads(text(answers["dimensions"]))["result"]}
    assert listed.keys() == {row["name"] for row in layer.dimensions(["net_revenue"])}
    assert listed["metric_time"]["granularities"][:3] == ["DAY", "WEEK", "MONTH"]
    (segment,) = json.loads(text(answers["segments"]))["result"]
    assert segment["name"] == "customer__segment"
    entities = {row["name"] for row in json.loads(text(answers["entities"]))["result"]}
    assert "customer" in entities


def test_numbers_are_those_of_the_layer(answers, layer):
    expected = layer.query(
        ["net_revenue", "order_count"],
        ["metric_time__month", "customer__country"],
        where=["{{ Dimension('customer__country') }} in ('FR', 'BE')"],
        order_by=["-metric_time__month", "net_revenue"], start="2026-01-01", limit=5,
    ).to_arrow().to_pylist()  # fmt: skip
    rows = json.loads(text(answers["numbers"]))
    assert len(rows) == 5
    for row, of_layer in zip(rows, expected, strict=True):
        assert date.fromisoformat(row["metric_time__month"]) == of_layer["metric_time__month"]
        assert row["customer__country"] == of_layer["customer__country"]
        assert row["net_revenue"] == float(of_layer["net_revenue"])
        assert row["order_count"] == of_layer["order_count"]
    countries = layer.dimension_values("customer__country", metrics=["net_revenue"])
    assert json.loads(text(answers["values"])) == {
        "values": [value for value in countries if value], "truncated": False, "error": None,
    }  # fmt: skip
    by_sql = layer.warehouse.arrow(text(answers["sql"])).to_pylist()
    by_layer = layer.query(["net_revenue"], ["metric_time__month"]).to_arrow().to_pylist()
    assert {row["metric_time__month"].date(): row["net_revenue"] for row in by_sql} == {
        row["metric_time__month"]: row["net_revenue"] for row in by_layer
    }


def test_what_is_refused_is_said_in_the_sentences_of_the_layer(answers):
    assert "Did you mean 'net_revenue'?" in text(answers["unknown metric"])
    person = "Ask head.of.sales@example.com to add it to the card"
    assert person in text(answers["not on the card"])
    unknown = "There is no dimension 'nobody__knows' of net_revenue"
    assert unknown in text(answers["unknown dimension"])


def test_a_token_that_nobody_has_gets_nothing(ask):
    calls = {name: CALLS[name] for name in ("every metric", "numbers", "values")}
    _, refused = ask(calls, "for-nobody")
    for answer in refused.values():
        assert answer.is_error
        assert re.search("not authorized|UNAUTHENTICATED", answer.content[0].text)
