"""Clients that are slow, endless or many hold up nobody else: tried with bare sockets."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import httpx
import pytest

from cadran.access import authentication, connections
from cadran.core.project import artifacts
from cadran.server.flight import server as flight
from cadran.server.run import serving
from cadran.server.settings import Settings

POSTED = b"POST /api/v1/query HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


@pytest.fixture
def hasty(monkeypatch):
    """A request has to come within half a second, which only tests of that may ask for."""
    monkeypatch.setattr(connections.Connection, "seconds", 0.5)


@pytest.fixture
def server(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "MOST", 20)
    found = artifacts.find(None, tiny, tiny.parents[1] / "tiny.duckdb")
    settings = Settings(
        port=0, flight_port=None, warm=False, refresh=0.0, audit=tmp_path / "audit",
        tokens=tmp_path / "tokens.json", policy=tmp_path / "policy.yml",
    )  # fmt: skip
    with serving(found, settings) as running:
        yield running


def connect(running):
    host, port = running.http.removeprefix("http://").rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=10)


def all_of(client):
    """Everything that is sent until the connection is closed."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def is_alive(running):
    return httpx.get(f"{running.http}/health/live").status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 200_000,
        b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 200_000,
        b"GET / HTTP/1.1\r\nhost: localhost\r\n" + b"x: 1\r\n" * 40_000,
        b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 70_000 + b"\r\n\r\n",
    ],
)
def test_a_head_without_an_end_is_refused(server, head):
    with connect(server) as client:
        with contextlib.suppress(OSError):
            client.sendall(head)
        assert all_of(client).startswith(b"HTTP/1.1 431 ")
    assert is_alive(server)


def test_a_long_body_behind_a_short_head_is_no_long_head(server):
    body = b'{"metrics": ["revenue"], "where": ["' + b"x" * 300_000 + b'"]}'
    told = httpx.post(
        f"{server.http}/api/v1/query", content=body, headers={"content-type": "application/json"}
    )
    assert told.status_code == 400


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /health/live HTTP/1.1\r\nhost: loc", b"HTTP/1.1 408 "),
        (POSTED + b"content-length: 100\r\n\r\n{", b"HTTP/1.1 408 "),
        (b"", b""),
        (b"\r\n", b""),
    ],
)
@pytest.mark.usefixtures("hasty")
def test_what_does_not_come_in_time_is_ended(server, sent, status):
    with connect(server) as client:
        client.sendall(sent)
        begun = time.monotonic()
        assert all_of(client)[: len(status) or 1] == status
        assert time.monotonic() - begun < 5


@pytest.mark.usefixtures("hasty")
def test_a_head_that_drips_is_ended_as_one_that_stops(server):
    with connect(server) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nx: ")
        begun = time.monotonic()
        client.settimeout(0.05)
        told = b""
        while not told and time.monotonic() - begun < 5:
            client.sendall(b"a")
            try:
                told = client.recv(1000)
            except TimeoutError:
                continue
        assert told.startswith(b"HTTP/1.1 408 ")


@pytest.mark.usefixtures("hasty")
def test_an_idle_connection_that_was_answered_is_closed_too(server):
    with connect(server) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"\r\n")
        begun = time.monotonic()
        all_of(client)
        assert time.monotonic() - begun < 8


def test_connections_beyond_the_limit_are_refused_and_those_within_go_on(server):
    many = [connect(server) for _ in range(25)]
    try:
        told = b"".join(one.recv(100) for one in many[20:])
        assert told.count(b"HTTP/1.1 503 ") == 5
        many[0].sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert many[0].recv(1000).startswith(b"HTTP/1.1 200 ")
    finally:
        for one in many:
            one.close()
    time.sleep(0.1)
    assert is_alive(server)


def test_a_connection_of_flight_that_says_nothing_is_closed(tiny, tmp_path, monkeypatch):
    short = {"grpc.server_handshake_timeout_ms": 500, "grpc.max_connection_idle_ms": 500}
    assert short.keys() <= {name for name, _ in flight._OPTIONS}
    monkeypatch.setattr(flight, "_OPTIONS", [*{**dict(flight._OPTIONS), **short}.items()])
    found = artifacts.find(None, tiny, tiny.parents[1] / "tiny.duckdb")
    settings = Settings(
        port=0, flight_port=0, warm=False, refresh=0.0, audit=tmp_path / "audit",
        tokens=tmp_path / "tokens.json", policy=tmp_path / "policy.yml",
    )  # fmt: skip
    settings_frame = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    with serving(found, settings) as running:
        port = int(running.flight.rsplit(":", 1)[1])
        for greeting in (b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings_frame):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.sendall(greeting)
                all_of(client)  # or the time of the socket is over


def test_a_slow_key_address_holds_up_no_other_client(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(authentication, "_keys", lambda _: time.sleep(6) or {})
    monkeypatch.setattr(authentication, "_WAIT", 4.0)
    provider = authentication.Provider("https://login.example.com", "cadran", "https://localhost")
    found = artifacts.find(None, tiny, tiny.parents[1] / "tiny.duckdb")
    settings = Settings(
        port=0, flight_port=None, warm=False, refresh=0.0, audit=tmp_path / "audit", oidc=provider,
        tokens=tmp_path / "tokens.json", policy=tmp_path / "policy.yml",
    )  # fmt: skip
    made_up = {"authorization": "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.e30.c2ln"}
    with serving(found, settings) as running:

        def ask():
            told.append(httpx.get(f"{running.http}/api/v1/kpis", headers=made_up, timeout=20))

        told = []
        asking = [threading.Thread(target=ask) for _ in range(8)]
        for one in asking:
            one.start()
        time.sleep(0.3)
        with connect(running) as client:
            client.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert not told  # they still wait for the keys
        for one in asking:
            one.join()
    assert [one.status_code for one in told] == [401] * 8
