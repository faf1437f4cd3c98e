"""`cadran.connect`: the same questions give the same results as the project opened in place."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import httpx
import pytest

import cadran
from cadran.core.project.artifacts import find
from cadran.server.run import serving
from cadran.server.settings import Settings

QUESTIONS = [
    {"metrics": ["revenue"], "group_by": ["metric_time__month"]},
    {"metrics": ["revenue", "orders"], "group_by": ["customer__country"], "order_by": ["-revenue"]},
    {"metrics": ["revenue"], "group_by": [cadran.GroupBy("metric_time", "day")], "limit": 2},
    {"metrics": ["orders"], "group_by": ["metric_time__month"], "complete": True},
    {"metrics": ["orders"], "where": ["order_id__channel = 'café ☕ '''"]},
    {"metrics": ["revenue"], "start": dt.date(2026, 2, 1), "end": "2026-02-03"},
    {"metrics": ["revenue"], "start": "2026-02-01", "end": "2026-02-03", "compare": "previous"},
    {"metrics": ["orders"], "group_by": ["metric_time__month"], "compare": "previous"},
    {"metrics": ["mean_amount", "buyers"], "group_by": ["order_id__channel"]},
    {"metrics": ["pings"], "group_by": ["metric_time__hour"], "start": "2026-02-01T01:00"},
]
REFUSED = [
    {"metrics": ["revenu"]},
    {"metrics": ["revenue"], "group_by": ["metric_time__hour"]},
    {"metrics": []},
    {"metrics": ["orders"], "where": ["order_id__channel ="]},
    {"metrics": ["orders"], "order_by": ["buyers"]},
    {"metrics": ["orders"], "compare": "year"},
    {"saved_query": "no_such"},
]


@pytest.fixture(scope="module")
def running(tiny, tmp_path_factory):
    home = tmp_path_factory.mktemp("client")
    apart = {name: home / name for name in ("tokens", "policy", "audit")}
    settings = replace(Settings(port=0, flight_port=None, warm=False, refresh=0.0), **apart)
    with serving(find(None, tiny, tiny.parents[1] / "tiny.duckdb"), settings) as server:
        yield server


@pytest.fixture
def remote(running):
    with cadran.connect(running.http) as layer:
        yield layer


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_gives_the_same_result_connected(shop, remote, question):
    near, far = shop.query(**question), remote.query(**question)
    assert far.to_arrow().schema == near.to_arrow().schema
    assert far.to_arrow().equals(near.to_arrow())
    assert (far.metrics, far.columns, far.governed) == (near.metrics, near.columns, near.governed)
    assert (far.versions, far.breaks) == (near.versions, near.breaks)
    assert far.complete_through == near.complete_through
    assert (far.note, far.running_note) == (near.note, near.running_note)
    assert far.like_for_like == near.like_for_like
    assert far._repr_html_() == near._repr_html_()
    for name in near.metrics:
        if shop.is_kpi(name):
            assert far.card(name) == near.card(name)


@pytest.mark.parametrize("question", QUESTIONS[:3])
def test_frames_and_sql_are_those_of_the_project(shop, remote, question):
    near, far = shop.query(**question), remote.query(**question)
    assert far.to_pandas().equals(near.to_pandas())
    assert far.to_polars().equals(near.to_polars())
    assert far.sql == near.sql
    assert remote.sql(**question) == shop.sql(**question)


def test_what_there_is_to_ask_is_listed_alike(shop, remote):
    assert remote.kpis() == shop.kpis()
    assert remote.card("revenue") == shop.card("revenue")
    assert remote.metrics() == shop.metrics()
    assert remote.dimensions(["orders"]) == shop.dimensions(["orders"])
    assert remote.saved_queries() == shop.saved_queries()
    assert remote.dimension_values("customer__country", "orders") == ["DE", "FR"]
    assert remote.complete_through("orders") == shop.complete_through("orders")
    assert remote.is_kpi("revenue")
    assert not remote.is_kpi("orders")
    assert [entry["version"] for entry in remote.versions("revenue")] == [3]


@pytest.mark.parametrize("question", REFUSED)
def test_what_is_refused_is_the_same_error_in_the_same_sentence(shop, remote, question):
    with pytest.raises(cadran.CadranError) as near:
        shop.query(**question)
    with pytest.raises(type(near.value)) as far:
        remote.query(**question)
    assert type(far.value) is type(near.value)
    # A server has no way around a card, so it names none.
    own = ", or ask with governed=False for the metric behind, which is not the KPI"
    assert str(far.value) == str(near.value).replace(own, "")
    if isinstance(near.value, cadran.UnknownNameError):
        assert far.value.suggestions == near.value.suggestions
        assert far.value.allowed == near.value.allowed


def answering(*replies, **more):
    """A layer whose server answers so, one reply after the other."""
    layer = cadran.connect("http://kpi.example.com/api/v1/", token="secret", **more)  # noqa: S106
    waiting, requests = list(replies), []

    def answer(request):
        requests.append(request)
        reply = waiting.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    layer._client = httpx.Client(
        transport=httpx.MockTransport(answer), headers=layer._client.headers
    )
    return layer, requests


def problem(status, kind, detail, **headers):
    content = {"type": f"/api/v1/docs#{kind}", "title": "x", "status": status, "detail": detail}
    return httpx.Response(status, json=content, headers=headers)


BUSY = {"retry-after": "0"}
SQL = httpx.Response(200, json={"sql": "select 1"})


def test_a_busy_server_is_asked_again_when_it_says(monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    busy = problem(429, "too-many", "Too many.", **{"retry-after": "2"})
    ends = problem(503, "unavailable", "The server ends.", **{"retry-after": "5"})
    layer, requests = answering(busy, ends, SQL)
    assert layer.sql(["x"]) == "select 1"
    assert slept == [2.0, 5.0]
    assert {request.headers["authorization"] for request in requests} == {"Bearer secret"}
    assert str(requests[0].url) == "http://kpi.example.com/api/v1/sql"


def test_but_not_for_ever_and_not_what_is_refused():
    layer, requests = answering(*[problem(429, "too-many", "Too many.", **BUSY)] * 4)
    with pytest.raises(cadran.LimitError, match="Too many") as caught:
        layer.sql(["x"])
    assert (len(requests), caught.value.retry_after) == (4, 0.0)
    layer, requests = answering(problem(429, "too-many", "In an hour.", **{"retry-after": "3600"}))
    with pytest.raises(cadran.LimitError):
        layer.sql(["x"])
    layer, requests = answering(problem(403, "not-allowed", "Not for you."))
    with pytest.raises(cadran.NotAllowedError, match=r"^Not for you\.$"):
        layer.sql(["x"])
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("reply", "error", "sentence"),
    [
        (httpx.ReadTimeout("slow"), cadran.ServiceError, "did not answer within 5 seconds"),
        (httpx.ConnectError("refused"), cadran.ServiceError, "cannot be reached: refused"),
        (httpx.Response(502, text="<html>"), cadran.ServiceError, "answered 502 and no sentence"),
        (
            httpx.Response(200, html="<html>"),
            cadran.ServiceError,
            "answered text/html, not JSON or Arrow: is it the address of a server of Cadran",
        ),
        (
            httpx.Response(302, headers={"location": "https://sso.example.com"}),
            cadran.ServiceError,
            "sends on to https://sso.example.com, not",
        ),
        (problem(401, "unauthenticated", "Who?"), cadran.UnauthenticatedError, "Who"),
        (problem(504, "stopped", "Too long."), cadran.StoppedError, "Too long"),
        (problem(413, "too-large", "Too large."), cadran.LimitError, "Too large"),
        (problem(500, "failed", "Recorded as 1."), cadran.ServiceError, "Recorded"),
    ],
)
def test_what_goes_wrong_is_told_in_one_sentence(reply, error, sentence):
    layer, _ = answering(reply, timeout=5)
    with pytest.raises(error, match=sentence):
        layer.sql(["x"])


@pytest.mark.parametrize(
    "content",
    [
        b'{"message": "hello"}', b'["a"]', b"null", b"{", b'{"kpi": 1, "metrics": [{}]}',
        b'{"kpis": [{"name": "a"}], "meta": {"paging": {"next_cursor": null}}, "kpi": {}}',
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "asked",
    [
        lambda layer: layer.query(["x"]), lambda layer: layer.sql(["x"]),
        lambda layer: layer.kpis(), lambda layer: layer.card("x"),
        lambda layer: layer.is_kpi("x"), lambda layer: layer.versions("x"),
        lambda layer: layer.targets("x"), lambda layer: layer.metrics(),
        lambda layer: layer.saved_queries(), lambda layer: layer.dimension_values("x"),
    ],
)  # fmt: skip
def test_json_of_another_server_is_told_in_one_sentence(asked, content):
    json_of_another = {"content-type": "application/json"}
    layer, _ = answering(httpx.Response(200, content=content, headers=json_of_another))
    with pytest.raises(cadran.ServiceError, match=r"^http://kpi\.example\.com answered what no"):
        asked(layer)


def test_an_address_that_is_none_is_refused_at_once():
    with pytest.raises(cadran.QueryError, match="it takes one such as https://"):
        cadran.connect("kpi.example.com")
