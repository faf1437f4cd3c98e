"""Notes are kept as they were said, within bounds, for who may see the KPI, from who may write."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from types import SimpleNamespace

import pytest

from cadran.access.caller import Caller
from cadran.cli.app import main
from cadran.core.journal import Journal
from cadran.errors import NotAllowedError, QueryError, UnknownNameError
from cadran.governance import notes as kept
from cadran.governance.notes import Remark, add, notes
from cadran.insight.wording import Words
from cadran.notebook import Kpi
from cadran.serving import notes as served
from cadran.serving.service import RequestContext
from cadran.web import notes as pages

SAID = Remark(
    "net_revenue", "2026-Q3", "The sale began late.\nIt was planned so.", "calendar", "none needed",
    "ann@example.com", dt.date(2026, 12, 31),
)  # fmt: skip


def card(name):
    if name not in {"net_revenue", "order_count"}:
        raise UnknownNameError("KPI", name, ["net_revenue"])


@pytest.fixture
def layer(tmp_path):
    return SimpleNamespace(project=SimpleNamespace(root=tmp_path), card=card)


def test_a_note_comes_back_as_it_was_said(layer):
    assert notes(layer) == ()
    note = add(layer, SAID, by="ben@example.com")
    assert notes(layer) == (note,)
    assert (note.remark, note.by, note.number) == (SAID, "ben@example.com", 1)
    assert note.days == (dt.date(2026, 7, 1), dt.date(2026, 9, 30))
    assert Journal(layer.project.root / "journal", "notes").faults() == []


def test_notes_are_found_by_kpi_and_by_the_period_in_which_theirs_lies(layer):
    for kpi, period in (
        ("net_revenue", "2026-08"), ("net_revenue", "2026"), ("order_count", "2026-Q3"),
        ("net_revenue", "2026-10-01"), ("net_revenue", "2026-09-30"),
    ):  # fmt: skip
        add(layer, Remark(kpi, period, "x"), by="ann@example.com")
    assert [n.remark.period for n in notes(layer, "net_revenue", "2026-Q3")] == [
        "2026-08", "2026-09-30",
    ]  # fmt: skip
    assert [n.remark.kpi for n in notes(layer, period="2026-Q3")] == [
        "net_revenue", "order_count", "net_revenue",
    ]  # fmt: skip
    assert len(notes(layer, "net_revenue", "2026")) == 4
    kpi = Kpi.__new__(Kpi)
    kpi.layer, kpi.card = layer, SimpleNamespace(name="order_count")
    assert [n.remark.period for n in kpi.notes("2026")] == ["2026-Q3"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"text": "   "}, "needs a text"),
        ({"text": "x" * 2001}, "text has 2,001 characters"),
        ({"cause": "x" * 501}, "cause has 501 characters"),
        ({"cause": "two\nlines"}, "cause holds a sign"),
        ({"text": "bell \x07"}, "text holds a sign"),
        ({"owner": "from right to left \u202e"}, "owner holds a sign"),
        ({"period": "soon"}, "is no period"),
        ({"period": "9999-12-31"}, "is no period"),
        ({"kpi": "revenue"}, "There is no KPI 'revenue'"),
    ],
)
def test_what_is_no_note_is_not_kept(layer, change, sentence):
    with pytest.raises(QueryError, match=sentence):
        add(layer, replace(Remark("net_revenue", "2026", "x"), **change), by="a")
    assert notes(layer) == ()


def test_the_same_note_twice_is_kept_once_and_another_one_is_kept(layer):
    add(layer, SAID, by="ann@example.com")
    with pytest.raises(QueryError, match="kept once"):
        add(layer, SAID, by="ann@example.com")
    add(layer, SAID, by="ben@example.com")
    assert len(notes(layer)) == 2


def test_a_note_about_an_incident_needs_the_incident(layer, monkeypatch):
    def incident(_, name):
        if name != "i0001":
            raise UnknownNameError("incident", name, ["i0001"])

    monkeypatch.setattr(kept, "incident_of", incident)
    add(layer, Remark("net_revenue", "2026", "x", incident="i0001"), by="a")
    assert [n.remark.incident for n in notes(layer, incident="i0001")] == ["i0001"]
    with pytest.raises(UnknownNameError):
        add(layer, Remark("net_revenue", "2026", "x", incident="i0002"), by="a")


def test_the_command_writes_and_lists(layer, monkeypatch, capsys):
    monkeypatch.setattr("cadran.cli.note.open_layer", lambda _: layer)
    words = ["Late.", "--action", "Go.", "--by", "a@b.c", "--due", "2026-12-31"]
    assert main(["note", "add", "net_revenue", "2026-Q3", *words]) == 0
    assert capsys.readouterr().out == "note 1 on net_revenue, 2026-Q3, by a@b.c\n"
    assert main(["note", "list", "net_revenue", "--format", "csv"]) == 0
    assert "1,net_revenue,2026-Q3,Late.,,Go.,,2026-12-31,,a@b.c" in capsys.readouterr().out
    assert main(["note", "list", "revenue"]) == 2


class Service:
    """A service that judges by name: who sees what is the gate's business, tested there."""

    def __init__(self, layer, seen):
        self.layer, self.seen, self.recordings = layer, seen, []

    def recorded(self, context, kind, query, work):
        self.recordings.append((context.caller.name, kind, query.metrics))
        if query.metrics[0] not in self.seen:
            raise UnknownNameError("metric", query.metrics[0], self.seen)
        return work(SimpleNamespace(layer=self.layer), None)

    def sees_whole(self, _, kpi):
        return self.seen[kpi] == "whole"


def test_over_a_network_a_note_needs_the_scope_and_the_whole_kpi(layer):
    service = Service(layer, {"net_revenue": "whole", "order_count": "part"})
    reader = RequestContext(Caller("reader", scopes=frozenset({"query"})), "rest")
    writer = RequestContext(Caller("writer", scopes=frozenset({"query", "write"})), "rest")
    with pytest.raises(NotAllowedError, match="scope write"):
        served.add(service, reader, SAID)
    note = served.add(service, writer, SAID)
    assert note.by == "writer"
    assert served.notes(service, reader, "net_revenue") == (note,)
    for context in (reader, writer):
        with pytest.raises(NotAllowedError, match="a part of order_count only"):
            served.notes(service, context, "order_count")
    with pytest.raises(UnknownNameError):
        served.add(service, writer, Remark("hidden", "2026", "x"))
    assert service.recordings[0] == ("reader", "note", ("net_revenue",))


def test_a_page_shows_notes_to_who_sees_the_whole_kpi_and_of_an_incident_those_about_it(layer):
    w = Words("fr")
    for kpi, incident in (("net_revenue", "i0001"), ("order_count", "i0001"), ("net_revenue", "")):
        text = f"{kpi} {incident}".strip()
        journal = Journal(layer.project.root / "journal", "notes")
        said = {"kpi": kpi, "period": "2026-08", "text": text, "due": "2026-12-31"}
        journal.append(said | ({"incident": incident} if incident else {}), by="ann@example.com")
    cards = [SimpleNamespace(name=n, localized=lambda _, n=n: SimpleNamespace(label=n.title()))
             for n in ("net_revenue", "order_count")]  # fmt: skip
    reader = SimpleNamespace(
        source=SimpleNamespace(layer=layer, kpis=cards), whole=lambda kpi: kpi == "net_revenue",
        cached=lambda _, read: read(),
    )  # fmt: skip
    of_kpi = pages.of_kpi(reader, w, "net_revenue")
    assert [note.text for note in of_kpi.texts] == ["net_revenue", "net_revenue i0001"]
    assert of_kpi.may_add
    assert of_kpi.texts[0].fields == [("Échéance", "31 déc. 2026")]
    assert pages.of_kpi(reader, w, "order_count") == pages.Notes([])
    [note] = pages.of_incident(reader, w, "i0001").texts
    assert (note.text, note.about) == ("net_revenue i0001", "Net_Revenue, 2026-08")
    marks = pages.marks(reader, w, "net_revenue", dt.date(2026, 9, 30))
    assert [mark.text for mark in marks] == [
        "Note\xa0: net_revenue i0001", "Note\xa0: net_revenue",
    ]  # fmt: skip
    assert pages.marks(reader, w, "net_revenue", dt.date(2026, 7, 31)) == []
    assert pages.marks(reader, w, "order_count", dt.date(2026, 9, 30)) == []
