"""What people said is only added to; what was changed since is found."""

import json
import os
import subprocess
import threading

import pytest

from cadran.core import journal
from cadran.core.journal import HEADS, Journal
from cadran.errors import JournalError


@pytest.fixture
def notes(tmp_path):
    return Journal(tmp_path / "journal", "notes")


def said(notes):
    return [entry.content["text"] for entry in Journal(notes.folder, "notes").entries()]


def three(notes):
    for text in ("one", "two", "three"):
        notes.append({"text": text}, by="ann@example.com")
    return notes.path.read_bytes().splitlines(keepends=True)


def test_what_is_said_is_read_again_in_order_with_who_and_when(notes):
    assert notes.entries() == ()
    three(notes)
    entries = notes.entries()
    assert [entry.content for entry in entries] == [{"text": t} for t in ("one", "two", "three")]
    assert [(entry.number, entry.by) for entry in entries] == [
        (n, "ann@example.com") for n in (1, 2, 3)
    ]
    assert entries[0].at < entries[1].at < entries[2].at
    assert journal.faults(notes.folder) == []


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (lambda x: [x[0].replace(b"one", b"none"), *x[1:]], "entry 1: it was edited"),
        (lambda x: [x[0], x[2]], "entry 2: it does not follow the entry before it"),
        (lambda x: [x[0], x[2], x[1]], "entry 2: it does not follow the entry before it"),
        (lambda x: x[:2], "the end was cut off: heads.json knows entry 3, entry 2 is the last"),
        (lambda _: [], "the end was cut off: heads.json knows entry 3, entry 0 is the last"),
        (lambda x: [*x, b'{"text": 4}\n'], "entry 4: it is no entry"),
    ],
)
def test_what_was_changed_is_found_and_nothing_is_added_to_it(notes, lines, sentence):
    notes.path.write_bytes(b"".join(lines(three(notes))))
    faults = journal.faults(notes.folder)
    assert len(faults) == 1
    assert sentence in faults[0]
    with pytest.raises(JournalError, match="entry"):
        notes.append({"text": "four"}, by="ann@example.com")


def test_an_entry_that_somebody_chained_on_by_hand_is_found(notes):
    three(notes)
    heads = (notes.folder / HEADS).read_bytes()
    notes.append({"text": "four"}, by="ann@example.com")
    (notes.folder / HEADS).write_bytes(heads)
    assert "heads.json ends with entry 3" in journal.faults(notes.folder)[0]


def test_what_a_crash_left_of_a_line_is_nothing_and_the_next_entry_takes_its_place(notes):
    lines = three(notes)
    notes.path.write_bytes(b"".join(lines) + lines[0][:40])
    assert said(notes) == ["one", "two", "three"]
    notes.append({"text": "four"}, by="ben@example.com")
    assert said(notes) == ["one", "two", "three", "four"]
    assert journal.faults(notes.folder) == []


@pytest.mark.parametrize("is_written", [True, False])
def test_a_crash_between_the_intent_and_the_end_leaves_a_journal_that_holds(
    notes, monkeypatch, is_written
):
    three(notes)
    anchor, write = Journal._anchor, Journal._write

    def die(self, *words):
        if is_written:
            write(self, *words)
        raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "_write", die)
    with pytest.raises(KeyboardInterrupt):
        notes.append({"text": "four"}, by="ann@example.com")
    monkeypatch.undo()
    assert anchor is Journal._anchor
    assert journal.faults(notes.folder) == []
    notes.append({"text": "five"}, by="ann@example.com")
    assert said(notes) == ["one", "two", "three", *(["four"] if is_written else []), "five"]
    assert journal.faults(notes.folder) == []


def test_a_full_disk_leaves_nothing_of_a_line(notes, monkeypatch):
    three(notes)
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, line, end: real(handle, line[:20], end))
    with pytest.raises(JournalError, match="cannot be written"):
        notes.append({"text": "four"}, by="ann@example.com")
    monkeypatch.undo()
    assert said(notes) == ["one", "two", "three"]
    assert journal.faults(notes.folder) == []


def test_what_may_not_be_said_is_not_written(notes):
    three(notes)

    def refuse(before):
        raise JournalError(f"{len(before)} are enough.")

    with pytest.raises(JournalError, match="3 are enough"):
        notes.append({"text": "four"}, by="ann@example.com", check=refuse)
    assert said(notes) == ["one", "two", "three"]


@pytest.mark.parametrize(("text", "by"), [("half \ud83d", "ann"), ("whole", "ann\udc80")])
def test_what_is_no_text_is_refused_and_nothing_is_written(notes, text, by):
    before = three(notes)
    with pytest.raises(JournalError, match=r"is no text: U\+D[8C][38][D0] is half"):
        notes.append({"text": text}, by=by)
    assert notes.path.read_bytes().splitlines(keepends=True) == before
    assert notes.faults() == []


def test_several_writers_at_once_make_one_chain(notes):
    def write(name):
        own = Journal(notes.folder, "notes")
        for number in range(10):
            own.append({"text": f"{name}{number}"}, by=name)

    threads = [threading.Thread(target=write, args=[name]) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said(notes)) == sorted(
        f"{name}{number}" for name in "abcd" for number in range(10)
    )
    assert journal.faults(notes.folder) == []


def test_git_finds_a_journal_that_was_written_anew_heads_and_all(notes, tmp_path):
    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", "-C", tmp_path, *who, *words], check=True, capture_output=True)

    git("init", "-q")
    three(notes)
    git("add", ".")
    git("commit", "-qm", "said")
    notes.path.unlink()
    (notes.folder / HEADS).unlink()
    for text in ("one", "another", "three"):
        notes.append({"text": text}, by="ann@example.com")
    faults = journal.faults(notes.folder)
    assert len(faults) == 1
    assert "entry 3: it is another one than heads.json of commit" in faults[0]


def test_each_kind_has_a_chain_of_its_own(notes):
    three(notes)
    Journal(notes.folder, "decisions").append({"decision": "done"}, by="ann@example.com")
    heads = json.loads((notes.folder / HEADS).read_text())
    assert {kind: head["number"] for kind, head in heads.items()} == {"notes": 3, "decisions": 1}
    assert journal.faults(notes.folder) == []


def test_without_a_project_a_variable_names_the_folder(tmp_path, monkeypatch):
    with pytest.raises(JournalError, match="CADRAN_JOURNAL"):
        journal.folder_of(None)
    assert journal.folder_of(tmp_path) == tmp_path / "journal"
    monkeypatch.setenv("CADRAN_JOURNAL", str(tmp_path / "elsewhere"))
    assert journal.folder_of(None) == tmp_path / "elsewhere"
