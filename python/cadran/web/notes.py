"""Notes on pages: of a KPI, of an incident, as marks on a chart, for who sees all of the KPI."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadran.charts.plots import Mark
from cadran.core import journal
from cadran.errors import CadranError
from cadran.governance import notes

if TYPE_CHECKING:
    from cadran.governance.notes import Note
    from cadran.insight.readings import Reader
    from cadran.insight.wording import Words

_MOST = 30
_SHOWN = 80  # characters of a note on a chart


@dataclass(frozen=True, slots=True)
class NoteText:
    """A note in words: who and when, about what, the text, and its other fields by their names."""

    by: str
    at: str
    about: str
    text: str
    fields: list[tuple[str, str]]
    incident: str


@dataclass(frozen=True, slots=True)
class Notes:
    """The notes of a page, the latest first.

    Attributes:
        texts: what was said.
        may_add: whether whoever asks may be offered to say more, if the token lets it.
        is_broken: whether the journal cannot be read.
    """

    texts: list[NoteText]
    may_add: bool = False
    is_broken: bool = False


def of_kpi(reader: Reader, w: Words, kpi: str) -> Notes:
    """The notes on a KPI."""
    if not reader.whole(kpi):
        return Notes([])
    every = _every(reader)
    if every is None:
        return Notes([], is_broken=True)
    latest = [note for note in reversed(every) if note.remark.kpi == kpi]
    return Notes([_text(note, w, note.remark.period) for note in latest[:_MOST]], may_add=True)


def of_incident(reader: Reader, w: Words, incident: str) -> Notes:
    """The notes about an incident, on KPIs that whoever asks sees."""
    every = _every(reader)
    if every is None:
        return Notes([], is_broken=True)
    cards = {card.name: card for card in reader.source.kpis}
    return Notes(
        [
            _text(note, w, f"{w.label(cards[note.remark.kpi])}, {note.remark.period}")
            for note in reversed(every)
            if note.remark.incident == incident
            and note.remark.kpi in cards
            and reader.whole(note.remark.kpi)
        ][:_MOST]
    )


def marks(reader: Reader, w: Words, kpi: str, last: dt.date) -> list[Mark]:
    """The notes on a KPI as signs below its chart, at the first day that each is about."""
    if not reader.whole(kpi):
        return []
    signs = []
    for note in _every(reader) or ():
        first = note.days[0]
        if note.remark.kpi == kpi and first <= last:
            text = " ".join(note.remark.text.split())
            short = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
            signs.append(
                Mark(
                    dt.datetime.combine(first, dt.time()),
                    w("note_on", text=short),
                    "blue",
                    "square",
                )
            )
    return signs


def _every(reader: Reader) -> tuple[Note, ...] | None:
    def read() -> tuple[Note, ...] | None:
        try:
            return notes.notes(reader.source.layer)
        except CadranError:
            return None

    # What is kept of a state of the data may be older by a second than a note.
    state = journal.mark(reader.source.layer.project.root, "notes")
    return reader.cached(("notes", state), read)


def _text(note: Note, w: Words, about: str) -> NoteText:
    remark = note.remark
    fields = [
        (w("note_cause"), remark.cause),
        (w("note_action"), remark.action),
        (w("note_owner"), remark.owner),
        (w("note_due"), w.day(remark.due) if remark.due else ""),
    ]
    return NoteText(
        note.by, w.instant(note.at), about, remark.text,
        [(name, text) for name, text in fields if text], remark.incident,
    )  # fmt: skip
