"""Notes: what people say about a KPI and a period, kept in the journal and never changed.

A note that was wrong is answered by another one. An incident may be named, on whose page the note
is shown as well.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from cadran.core.journal import Journal, folder_of
from cadran.core.journal import entries as entries_of
from cadran.errors import QueryError
from cadran.formats.periods import read as read_period
from cadran.reliability.incidents import incident as incident_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cadran.core.journal import Entry
    from cadran.core.layer import Layer

LONGEST = {"text": 2000, "cause": 500, "action": 500, "owner": 200, "by": 200}  # characters
_AGAIN = dt.timedelta(minutes=10)  # within which the same note is taken for the same one
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Remark:
    """What somebody has to say.

    Attributes:
        kpi: about which KPI.
        period: and which period: 2026, 2026-Q3, 2026-10, 2026-W44 or 2026-10-31.
        text: what there is to say.
        cause: of what happened, as far as it is known.
        action: what is done about it.
        owner: who does it.
        due: until when.
        incident: that it is about.
    """

    kpi: str
    period: str
    text: str
    cause: str = ""
    action: str = ""
    owner: str = ""
    due: dt.date | None = None
    incident: str = ""

    def checked(self) -> Remark:
        """It as it is kept: without white space around, within bounds.

        Raises:
            QueryError: a field says what it must not.
        """
        read_period(self.period)
        texts = {name: _text(name, getattr(self, name)) for name in _TEXTS}
        if not texts["text"]:
            raise QueryError("A note needs a text: what there is to say about the KPI.")
        return Remark(self.kpi, self.period.strip().upper(), due=self.due,
                      incident=self.incident.strip(), **texts)  # fmt: skip


_TEXTS = ("text", "cause", "action", "owner")


@dataclass(frozen=True, slots=True)
class Note:
    """A note as it was said.

    Attributes:
        number: of the note.
        remark: what was said.
        by: who said it.
        at: when, in UTC.
    """

    number: int
    remark: Remark
    by: str
    at: dt.datetime

    @property
    def days(self) -> tuple[dt.date, dt.date]:
        """The first and the last day that it is about."""
        _, start, after = read_period(self.remark.period)
        return start, after - _DAY

    def to_dict(self) -> dict[str, Any]:
        """It as plain values."""
        remark = {item.name: getattr(self.remark, item.name) for item in fields(Remark)}
        return {"number": self.number, **remark, "by": self.by, "at": self.at}


def add(layer: Layer, remark: Remark, *, by: str) -> Note:
    """Say something about a KPI and a period.

    Args:
        layer: the layer of a built project.
        remark: what.
        by: who says it.

    Raises:
        UnknownNameError: there is no such KPI or incident.
        QueryError: a field says what it must not, or the same was just said.
        JournalError: it cannot be written.
    """
    remark, by = remark.checked(), _text("by", by)
    if not by:
        raise QueryError("Nobody is named who says it.")
    layer.card(remark.kpi)
    if remark.incident:
        incident_of(layer, remark.incident)
    content = _content(remark)

    def check(entries: tuple[Entry, ...]) -> None:
        now = dt.datetime.now(dt.UTC)
        for entry in reversed(entries):
            if now - entry.at > _AGAIN:
                return
            if entry.by == by and dict(entry.content) == content:
                raise QueryError("The same note was said just now: it is kept once.")

    journal = Journal(folder_of(layer.project.root), "notes")
    return _note(journal.append(content, by=by, check=check))


def notes(
    layer: Layer,
    kpi: str | None = None,
    period: str | None = None,
    *,
    incident: str | None = None,
) -> tuple[Note, ...]:
    """What was said, in the order in which it was said.

    Args:
        layer: the layer of a project; without a project there are no notes.
        kpi: only of this KPI.
        period: only of periods that lie in this one.
        incident: only about this incident.

    Raises:
        QueryError: the period is none.
        JournalError: the journal was changed.
    """
    within = read_period(period)[1:] if period else None
    matching = []
    for entry in entries_of(layer.project.root, "notes"):
        note = _note(entry)
        first, last = note.days
        if (
            (kpi is None or note.remark.kpi == kpi)
            and (incident is None or note.remark.incident == incident)
            and (within is None or (within[0] <= first and last < within[1]))
        ):
            matching.append(note)
    return tuple(matching)


def due_of(text: str) -> dt.date | None:
    """The day that a text names; None for an empty one.

    Raises:
        QueryError: it is no day.
    """
    if not text.strip():
        return None
    try:
        return dt.date.fromisoformat(text.strip())
    except ValueError:
        raise QueryError(f"due is {text[:40]!r}; it takes a day such as 2026-12-31.") from None


def _text(name: str, text: str) -> str:
    text = text.replace("\r\n", "\n").strip()
    if len(text) > LONGEST[name]:
        raise QueryError(f"{name} has {len(text):,} characters; {LONGEST[name]:,} are the most.")
    if _CONTROL.search(text) or (name != "text" and "\n" in text):
        raise QueryError(f"{name} holds a sign that no text has: write it in plain letters.")
    return text


def _content(remark: Remark) -> dict[str, Any]:
    content = {item.name: getattr(remark, item.name) for item in fields(Remark)}
    content["due"] = remark.due.isoformat() if remark.due else None
    return {name: value for name, value in content.items() if value}


def _note(entry: Entry) -> Note:
    content: Mapping[str, Any] = entry.content
    due = content.get("due")
    remark = Remark(**{**content, "due": dt.date.fromisoformat(due) if due else None})
    return Note(entry.number, remark, entry.by, entry.at)
