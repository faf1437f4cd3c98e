"""REST: sentences for what is wrong, tokens and scopes, names and origins, questions that stop."""

from __future__ import annotations

import html
import logging
import socket
import time
from types import SimpleNamespace

import httpx
import pytest

from cadran.errors import WarehouseError
from cadran.server.problems import problem_of
from cadran.server.rest.app import _EXPOSED

pytest_plugins = ("rest_fixtures",)

YEARS = {"metrics": "net_revenue", "group_by": "metric_time__year"}


PROBLEMS = (
    ("/query?metrics=net_revnue", 404, "unknown-name", "Did you mean 'net_revenue'?"),
    ("/query?metrics=net_revenue&group_by=metric_time__hour", 403, "not-governed", "Ask head.of"),
    ("/query?metrics=net_revenue&group_by=custmer__country", 404, "unknown-name", "customer__c"),
    ("/query", 400, "bad-question", "name at least one metric"),
    ("/query?metric=net_revenue", 400, "bad-question", "Did you mean 'metrics'?"),
    ("/query?metrics=net_revenue&limit=ten", 400, "bad-question", "a whole number from 0"),
    ("/query?metrics=net_revenue&limit=-1", 400, "bad-question", "limit is -1"),
    ("/query?metrics=net_revenue&limit=1&limit=2", 400, "bad-question", "given 2 times"),
    ("/query?metrics=net_revenue&start=yesterday", 400, "bad-question", "ISO date"),
    ("/query?metrics=net_revenue&start=0001-01-01T00:00%2B14:00", 400, "bad-question", "ISO date"),
    ("/query?metrics=net_revenue&format=xls", 400, "bad-question", "did you mean 'xlsx'?"),
    ("/query?metrics=net_revenue&view=then", 400, "bad-question", "published, restated"),
    ("/query?metrics=net_revenue&cursor=x", 400, "bad-question", "next_cursor"),
    ("/query?metrics=net_revenue&page_size=2000000", 400, "bad-question", "at most 1,000,000"),
    ("/query?metrics=%ff", 400, "bad-question", "UTF-8"),
    ("/query?metrics=a%00b", 400, "bad-question", "no text has"),
    ("/query?metrics=net_revenue&where=1%3B drop table x", 400, "bad-question", "is refused"),
    ("/query?saved_query=kpi_monthly", 404, "unknown-name", "kpi_monthly_strategic"),
    ("/query?" + "metrics=net_revenue&" * 600, 414, "too-long", "post the question"),
    ("/values", 400, "bad-question", "dimension is missing"),
    ("/values?dimension=customer__contry", 404, "unknown-name", "customer__country"),
    ("/kpis/net_revenu", 404, "unknown-name", "net_revenue"),
    ("/kpis?tier=high", 400, "bad-question", "strategic, operational"),
    ("/saved-queries/kpi_monthly_strategic.xls", 400, "bad-question", "xlsx"),
    ("/saved-queries/kpi_monthly_strategic.csv?token=x", 400, "bad-question", "link_tokens: true"),
    ("/query?metrics=net_revenue&token=x", 400, "bad-question", "Authorization: Bearer"),
    ("/nothing", 404, "not-found", "/api/v1/docs"),
    ("/kpis/a/b", 404, "not-found", "/api/v1/docs"),
)


@pytest.mark.parametrize(("path", "status", "kind", "words"), PROBLEMS)
def test_what_is_wrong_is_said_in_a_sentence(rest, path, status, kind, words):
    reply = rest.get(path)
    told = reply.json()
    assert reply.headers["content-type"] == "application/problem+json"
    assert (reply.status_code, told["status"]) == (status, status), told
    assert told["type"] == f"/api/v1/docs#{kind}"
    assert words in told["detail"]
    assert html.escape(told["title"]) in rest.get("/docs").text


def test_an_unknown_name_comes_with_its_near_misses(rest):
    told = rest.get("/query", params={"metrics": "net_revnue"}).json()
    assert told["did_you_mean"] == ["net_revenue"]
    assert "order_count" in told["allowed"]
    assert told["name"] == "net_revnue"


def test_methods_bodies_and_types_are_held_to(rest):
    options = rest.options("/query")
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    refused = rest.delete("/kpis")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert refused.json()["type"].endswith("#method-not-allowed")
    head, got = rest.head("/query", params=YEARS), rest.get("/query", params=YEARS)
    assert head.content == b""
    assert head.headers["etag"] == got.headers["etag"]
    assert head.headers["content-type"] == "application/json"
    json_type = {"content-type": "application/json"}
    for content, headers, status in (
        (b"{", json_type, 400),
        (b'{"limit": NaN}', json_type, 400),
        (b"[" * 100_000, json_type, 400),
        (b"[1]", json_type, 400),
        (b'"\xff"', json_type, 400),
        (b'{"metrics": ["\\ud800"]}', json_type, 400),
        (b'{"metrics": "net_revenue"}', json_type, 400),
        (b'{"metrics": ["net_revenue"], "group_by": [{"grain": "day"}]}', json_type, 400),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b" " * 1_000_001, json_type, 413),
    ):
        reply = rest.post("/query", content=content, headers=headers)
        assert reply.status_code == status, content[:40]
        assert reply.headers["content-type"] == "application/problem+json"
    pieces = rest.post("/query", content=(b" " * 1000 for _ in range(1500)), headers=json_type)
    assert pieces.status_code == 413


def test_tokens_and_scopes_are_asked_for(rest, rest_server, monkeypatch, known):
    monkeypatch.setattr(rest_server.server_context, "who", known)

    def status(path, token=None, method="GET"):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return rest.request(method, path, headers=headers)

    for token in (None, "unknown"):
        refused = status("/kpis", token)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert refused.json()["title"] == "Who asks is not known"
    year = "/query?metrics=net_revenue&group_by=metric_time__year"
    for token, path, method, expected in (
        ("asks", year, "GET", 200), ("asks", "/kpis", "GET", 403),
        ("asks", "/refresh", "POST", 403), ("asks", "/sql?metrics=net_revenue", "GET", 200),
        ("reads", year, "GET", 403), ("reads", "/kpis", "GET", 200),
        ("reads", "/values?dimension=order_id__channel", "GET", 403),
        ("rules", "/refresh", "POST", 200), (None, "/openapi.json", "GET", 200),
    ):  # fmt: skip
        reply = status(path, token, method)
        assert reply.status_code == expected, (token, path)
        if expected == 403:
            assert "lacks the scope" in reply.json()["detail"]


def test_a_link_takes_a_token_only_where_the_settings_say_so(rest_project, caplog, another, known):
    path = "/api/v1/saved-queries/kpi_monthly_strategic.csv"
    caplog.set_level(logging.DEBUG)
    with (
        another(rest_project, link_tokens=True) as running,
        httpx.Client(base_url=running.http) as rest,
    ):
        running.server_context.who = known
        caplog.clear()
        got = rest.get(path, params={"token": "asks"})
        assert got.status_code == 200
        assert got.headers["referrer-policy"] == "no-referrer"
        assert got.text == rest.get(path, headers={"Authorization": "Bearer asks"}).text
        assert rest.get(path).status_code == 401
        assert rest.get(path, params={"token": "reads"}).status_code == 403
        ruling = rest.get(path, params={"token": "rules"})
        assert ruling.status_code == 401
        assert "must not have the scope 'admin'" in ruling.json()["detail"]
        assert rest.get("/api/v1/query?metrics=net_revenue&token=asks").status_code == 401
        said = [line for line in caplog.messages if "HTTP Request" not in line]  # not the client's
        assert not any("token=asks" in line for line in said)


def test_pages_of_other_origins_need_to_be_named(rest_project, another):
    ours = "https://kpi.example.com"
    with (
        another(rest_project, origins=(ours,)) as running,
        httpx.Client(base_url=running.http) as rest,
    ):
        for origin, expected in ((ours, ours), ("https://evil.example", None)):
            reply = rest.get("/api/v1/kpis", headers={"Origin": origin})
            assert reply.headers.get("access-control-allow-origin") == expected
            assert "Origin" in reply.headers["vary"]
        asked = rest.options("/api/v1/query", headers={"Origin": ours})
        assert "POST" in asked.headers["access-control-allow-methods"]


def test_without_named_origins_no_page_may_read(rest):
    reply = rest.get("/kpis", headers={"Origin": "https://kpi.example.com"})
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_an_open_server_goes_by_the_names_of_its_machine_only(rest):
    evil = rest.get("/kpis", headers={"Host": "rebound.example:8765"})
    assert evil.status_code == 421
    assert rest.get("/kpis", headers={"Host": "localhost:1"}).status_code == 200
    assert rest.get("/kpis", headers={"Host": "[::1]:1"}).status_code == 200


def test_what_the_warehouse_says_stays_in_the_server(rest, caplog):
    compared = rest.get("/query", params=YEARS | {"where": "customer__country = 5"})
    assert compared.status_code == 400
    assert "FR" not in compared.text
    told = problem_of(WarehouseError("/srv/secret/warehouse.duckdb cannot be read"))
    assert told.status == 503
    assert "secret" not in told.sentence
    assert told.more["record"] in caplog.text
    told = problem_of(ZeroDivisionError("in a file of mine"))
    assert (told.status, told.kind) == (500, "failed")
    assert "mine" not in told.sentence


# It takes minutes: the warehouse's own functions make the rows.
ENDLESS = "select count(*) as n from range(20000) a, range(20000) b, range(20000) c"


def test_a_question_stops_when_its_client_goes(rest_server, monkeypatch):
    server_context = rest_server.server_context
    layer = server_context.service.snapshots.current.layer
    seen = []
    audit = SimpleNamespace(write=seen.append, close=lambda: None)
    monkeypatch.setattr(server_context.service, "audit", audit)
    monkeypatch.setattr(layer, "answer", lambda _: layer.warehouse.arrow(ENDLESS))
    host, port = rest_server.http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as wire:
        path = "/api/v1/query?metrics=order_count&read_cache=false"
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        time.sleep(0.5)
        assert not seen
    until = time.monotonic() + 10
    while not seen and time.monotonic() < until:
        time.sleep(0.02)
    assert [entry.outcome for entry in seen] == ["stopped"]


def test_a_question_that_takes_too_long_is_stopped_and_says_so(rest_project, monkeypatch, another):
    with another(rest_project, seconds=0.3) as running, httpx.Client(base_url=running.http) as rest:
        layer = running.server_context.service.snapshots.current.layer
        monkeypatch.setattr(layer, "answer", lambda _: layer.warehouse.arrow(ENDLESS))
        reply = rest.get("/api/v1/query", params=YEARS, timeout=20)
        assert reply.status_code == 504
        assert "stopped" in reply.json()["detail"]


def test_a_star_a_proxys_prefix_and_a_page_of_another_origin_are_served(rest):
    got = rest.get("/query", params=YEARS)
    for path in ("/query?" + str(httpx.QueryParams(YEARS)), "/kpis", "/explorer"):
        assert rest.get(path, headers={"If-None-Match": "*"}).status_code == 304, path
    # A link that is relative leads on below whatever address a proxy gave the server.
    listed = rest.get("/metrics", params={"page_size": "3"})
    assert listed.links["next"]["url"].startswith("?page_size=3&cursor=")
    own = got.headers.keys() - {"content-type", "content-length", "server", "date", "vary"}
    exposed = {name.strip() for name in _EXPOSED.decode().split(",")}
    assert {name for name in own if name.startswith("cadran-")} <= exposed
    assert {"content-disposition", "etag", "link", "retry-after"} <= exposed


def test_a_page_tries_requests_and_asks_this_server_alone(rest):
    page = rest.get("/explorer")
    paths = rest.get("/openapi.json").json()["paths"].values()
    assert page.text.count("<form data-method") == sum(map(len, paths))
    assert "https://" not in page.text
    assert "script-src 'sha256-" in page.headers["content-security-policy"]
    assert "connect-src 'self'" in page.headers["content-security-policy"]
