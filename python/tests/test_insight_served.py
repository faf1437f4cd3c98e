"""Analyses over REST and for agents: the same numbers as in Python, with what they rest on."""

from __future__ import annotations

import anyio
import httpx
import pytest
from mcp import Client

from cadran import Kpi
from cadran.formats.encoding import plain

pytest_plugins = ("rest_fixtures",)

BY = "product__category"


@pytest.fixture(scope="module")
def expected(layer):
    """What each analysis gives in Python."""
    kpi = Kpi(layer, "net_revenue")
    return {
        "drivers": ({"by": BY, "compare": "year"}, kpi.drivers(BY, compare="year")),
        "forecast": ({}, kpi.forecast()),
        "anomalies": ({"days": 30}, kpi.anomalies(30)),
    }


@pytest.mark.parametrize("name", ["drivers", "forecast", "anomalies"])
def test_rest_and_agents_are_told_what_python_is_told(rest_server, expected, name):
    arguments, result = expected[name]
    told = plain(result.to_dict("fr"))
    found = httpx.get(
        f"{rest_server.http}/api/v1/kpis/net_revenue/{name}", params=arguments | {"lang": "fr"}
    )
    assert found.json() == told

    async def talk():
        async with Client(f"{rest_server.http}/mcp") as client:
            return await client.call_tool(name, {"kpi": "net_revenue", "lang": "fr"} | arguments)

    answer = anyio.run(talk)
    assert not answer.is_error
    assert answer.structured_content == told
    assert told["notes"][0] in answer.content[0].text
    assert told["method"] in answer.content[0].text


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("net_revenue/drivers", 400, "has no factors"),
        ("net_revenue/drivers?by=customer__county", 404, "customer__country"),
        ("net_revenue/drivers?by=product__category&start=tomorrow", 400, "an ISO date"),
        ("net_revenue/drivers?by=product__category&end=2026-10-01", 400, "Name a period"),
        ("net_revenue/drivers?by=product__category&compare=never", 400, "same_days"),
        ("active_customers/drivers?by=customer__country", 400, "neither a sum nor the quotient"),
        ("active_customers/forecast", 400, "do not add up to longer periods"),
        ("ticket_backlog/forecast", 400, "do not add up to longer periods"),
        ("net_revenu/forecast", 404, "net_revenue"),
    ],
)
def test_what_cannot_be_told_is_refused_in_a_sentence(rest_server, path, status, words):
    found = httpx.get(f"{rest_server.http}/api/v1/kpis/{path}")
    assert (found.status_code, words in found.text) == (status, True), found.text
