"""Notes over the network: the REST operations, the form of the board, and who is shown what."""

from __future__ import annotations

import json

import httpx
import pytest

from cadran.access.caller import Caller
from cadran.core.journal import Journal
from cadran.errors import UnauthenticatedError

pytest_plugins = ["rest_fixtures"]

CALLERS = {
    "writer": Caller("writer@example.com", scopes=frozenset({"query", "metadata", "write"})),
    "reader": Caller("reader@example.com", scopes=frozenset({"query", "metadata"})),
}
SAID = {"kpi": "net_revenue", "period": "2026-10", "text": "<b>Late</b> & planned.",
        "cause": "calendar", "due": "2026-12-31"}  # fmt: skip
PAGE = "/board/kpis/net_revenue?period=2026-10"
OWN = {"sec-fetch-site": "same-origin"}


class Known:
    open = False

    def waits(self, bearer):  # noqa: ARG002
        return False

    def caller(self, bearer):
        if bearer not in CALLERS:
            raise UnauthenticatedError("The token is unknown.")
        return CALLERS[bearer]


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    return tmp_path_factory.mktemp("notes")


@pytest.fixture(scope="module")
def server(rest_project, another, journal):
    with pytest.MonkeyPatch.context() as patch, another(rest_project) as running:
        patch.setenv("CADRAN_JOURNAL", str(journal))
        patch.setattr(running.server_context, "who", Known())
        yield running


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server.http, timeout=60) as made:
        yield made


def bearer(name):
    return {"authorization": f"Bearer {name}"}


def test_a_note_is_written_under_its_scope_and_read_by_who_sees_the_kpi(client, journal):
    refused = client.post("/api/v1/notes", json=SAID, headers=bearer("reader"))
    assert (refused.status_code, "scope 'write'" in refused.json()["detail"]) == (403, True)
    assert client.post("/api/v1/notes", json=SAID).status_code == 401
    done = client.post("/api/v1/notes", json=SAID, headers=bearer("writer"))
    assert done.status_code == 200
    assert SAID.items() <= done.json().items()
    assert done.json()["by"] == "writer@example.com"
    read = client.get("/api/v1/notes?kpi=net_revenue&period=2026-Q4", headers=bearer("reader"))
    assert [note["text"] for note in read.json()["notes"]] == [SAID["text"]]
    other = client.get("/api/v1/notes?kpi=order_count", headers=bearer("reader"))
    assert other.json()["notes"] == []
    wrong = client.post("/api/v1/notes", json=SAID | {"kpi": "revenue"}, headers=bearer("writer"))
    assert wrong.status_code == 404
    long = client.post("/api/v1/notes", json=SAID | {"text": "x" * 2001}, headers=bearer("writer"))
    assert long.status_code == 400
    assert len(Journal(journal, "notes").entries()) == 1


def test_the_page_of_a_kpi_shows_its_notes_escaped_and_a_form_to_who_may_write(client):
    for name in CALLERS:
        html = client.get(PAGE, headers=bearer(name)).text
        assert "&lt;b&gt;Late&lt;/b&gt; &amp; planned." in html
        assert "<b>Late</b>" not in html
        assert ("Add a note" in html) == (name == "writer")


def test_a_note_of_the_form_is_on_the_page_at_once(client):
    form = {"kpi": "net_revenue", "period": "2026-06", "text": "Storefront was slow.",
            "incident": "i0034", "to": PAGE}  # fmt: skip
    reply = client.post("/board/notes", data=form, headers=bearer("writer") | OWN)
    assert (reply.status_code, reply.headers["location"]) == (303, f"{PAGE}#notes")
    assert "Storefront was slow." in client.get(PAGE, headers=bearer("writer")).text


def test_a_form_of_another_site_or_of_who_may_not_write_keeps_nothing(client, journal):
    before = len(Journal(journal, "notes").entries())
    form = {"kpi": "net_revenue", "period": "2026-10", "text": "No.", "to": "https://evil.example"}
    for headers in (
        bearer("writer") | {"sec-fetch-site": "cross-site"},
        bearer("writer") | {"origin": "https://evil.example"},
        bearer("reader") | OWN,
    ):
        assert client.post("/board/notes", data=form, headers=headers).status_code == 403
    assert (
        client.post("/board/notes", data=form, headers=OWN)
        .headers["location"]
        .startswith("/board/sign-in")
    )
    huge = form | {"text": "x" * 40_000}
    assert client.post("/board/notes", data=huge, headers=bearer("writer") | OWN).status_code == 413
    assert len(Journal(journal, "notes").entries()) == before
    back = client.post("/board/notes", data=form, headers=bearer("writer") | OWN)
    assert back.headers["location"] == "/board#notes"


def test_a_fault_of_the_server_is_told_on_a_page_by_its_number(client, monkeypatch):
    monkeypatch.setattr("cadran.serving.notes.add", lambda *_: 1 / 0)
    form = {"kpi": "net_revenue", "period": "2026-10", "text": "Lost."}
    reply = client.post("/board/notes", data=form, headers=bearer("writer") | OWN)
    assert (reply.status_code, reply.headers["content-type"][:9]) == (500, "text/html")
    assert "it is recorded as" in reply.text


def test_a_journal_that_was_changed_is_told_and_not_added_to(client, journal):
    path = journal / "notes.jsonl"
    kept = path.read_bytes()
    try:
        path.write_bytes(kept.replace(b"planned", b"unplanned"))
        page = client.get(PAGE, headers=bearer("reader"))
        assert page.status_code == 200
        assert "The notes cannot be read" in page.text
        reply = client.post("/api/v1/notes", json=SAID, headers=bearer("writer"))
        assert reply.status_code == 503
        assert str(path) not in json.dumps(reply.json())
    finally:
        path.write_bytes(kept)
