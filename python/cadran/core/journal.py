"""What people and the product said on a day: notes, decisions, figures of packs. Only added to.

A journal is a file of lines in the project's folder `journal`, one for each kind of entry, so that
git reviews it and no build touches it. Each entry holds the hash of the one before. The last one of
each file stands in `heads.json` beside it, which is written before an entry, as an intent, and
after. So a change in the middle shows by itself, a cut end by the heads, and files that were
written anew, heads and all, by the heads that git has.

An entry counts when its line is whole and on disk. What a crash left of a line was said to nobody;
the next entry takes its place.
"""

from __future__ import annotations

import datetime as dt
import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from cadran.core.project import git
from cadran.core.project.lock import ORIGIN, alone, main_line, sealed
from cadran.errors import JournalError
from cadran.formats import files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Kind = Literal["notes", "decisions", "packs"]
KINDS: tuple[Kind, ...] = get_args(Kind)
HEADS = "heads.json"
VARIABLE = "CADRAN_JOURNAL"
_LONGEST = 4_000_000  # bytes of one line
_KEYS = {"number", "at", "by", "content", "previous", "hash"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was said.

    Attributes:
        number: its place in the journal, from 1 up.
        at: when, in UTC.
        by: who said it.
        content: what, as JSON types.
        hash: over all of it, and the hash of the entry before.
    """

    number: int
    at: dt.datetime
    by: str
    content: Mapping[str, Any]
    hash: str


class Head(NamedTuple):
    """The last entry of a journal; number 0 is an empty one."""

    number: int = 0
    hash: str = ORIGIN


class Journal:
    """One file of entries. Thread-safe, and safe among processes on one machine."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        """Take a folder, which is made with the first entry."""
        self.folder, self.kind = folder, kind
        self.path = folder / f"{kind}.jsonl"
        self._read: tuple[tuple[int, int, int], tuple[Entry, ...]] | None = None

    def entries(self) -> tuple[Entry, ...]:
        """Every entry in the order in which they were said.

        Raises:
            JournalError: the file cannot be read, or was changed.
        """
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return ()
        except OSError as problem:
            raise JournalError(f"{self.path} cannot be read: {problem}.") from None
        mark = (status.st_ino, status.st_size, status.st_mtime_ns)
        known = self._read
        if known is None or known[0] != mark:
            content, _ = self._whole()
            known = self._read = (mark, _parsed(content, self.path))
        return known[1]

    def append(
        self,
        content: Mapping[str, Any],
        *,
        by: str,
        check: Callable[[tuple[Entry, ...]], None] | None = None,
    ) -> Entry:
        """Say something; it is on disk when this returns.

        Args:
            content: what, as JSON types.
            by: who says it.
            check: sees what was said before while nobody else can add to it, and raises where this
                must not be said.

        Raises:
            JournalError: it cannot be written, or the journal was changed: nothing is added to it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with alone(self.folder):
                lines, end = self._whole()
                before = _parsed(lines, self.path)
                faults = self._against(before, _heads(self.folder))
                if faults:
                    raise JournalError(f"{faults[0]}. Nothing is added: `cadran verify` says more.")
                if check is not None:
                    check(before)
                entry, line = _sealed(before, content, by)
                anchor = Head(before[-1].number, before[-1].hash) if before else Head()
                self._anchor(anchor, Head(entry.number, entry.hash))
                self._write(line, end)
                self._anchor(Head(entry.number, entry.hash), None)
        except OSError as problem:
            raise JournalError(f"{self.path} cannot be written: {problem}.") from None
        return entry

    def faults(self) -> list[str]:
        """What of it is not as it was said, in sentences; none where all of it holds."""
        try:
            heads = _heads(self.folder)
            entries = _parsed(self._whole()[0], self.path)
        except (JournalError, OSError) as problem:
            return [str(problem).removesuffix(".")]
        faults = self._against(entries, heads)
        path = self.folder / HEADS
        for revision, text in git.states(path, ("HEAD", main_line())) or ():
            try:
                head = _of_kind(json.loads(text), self.kind)[0]
            except (ValueError, TypeError, KeyError, AttributeError):
                continue  # a state that nobody could use
            place = f"{HEADS} of commit {revision[:10]}"
            faults += _missing(entries, head, place, self.path)
        return faults

    def _whole(self) -> tuple[bytes, int]:
        """The whole lines, and the place where they end."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return b"", 0
        end = content.rfind(b"\n") + 1
        return content[:end], end

    def _against(self, entries: tuple[Entry, ...], heads: dict[str, Any]) -> list[str]:
        try:
            head, intent = _of_kind(heads, self.kind)
        except (ValueError, TypeError, KeyError, AttributeError):
            return [f"{self.folder / HEADS} is none: bring it back from git"]
        faults = _missing(entries, head, HEADS, self.path)
        if faults or len(entries) == head.number:
            return faults
        last = Head(entries[-1].number, entries[-1].hash)
        if last == intent:
            return []
        text = (
            f"{self.path}, entry {head.number + 1}: {HEADS} ends with entry {head.number}: somebody"
            f" else wrote it, or {HEADS} is an older one"
        )
        return [text]

    def _anchor(self, head: Head, intent: Head | None) -> None:
        entry: dict[str, Any] = {"number": head.number, "hash": head.hash}
        if intent is not None:
            entry["intent"] = {"number": intent.number, "hash": intent.hash}
        heads = _heads(self.folder) | {self.kind: entry}
        files.write(self.folder / HEADS, json.dumps(heads, indent=2, sort_keys=True) + "\n")

    def _write(self, line: bytes, end: int) -> None:
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.ftruncate(handle, end)
            if os.pwrite(handle, line, end) < len(line):
                os.ftruncate(handle, end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(handle)
        finally:
            os.close(handle)
        files.sync_folder(self.folder)


def known_folder(root: Path | None) -> Path | None:
    """The folder of a project's journals, which need not be there; None where nothing names one."""
    named = os.environ.get(VARIABLE)
    return None if root is None and not named else (root or Path()) / (named or "journal")


def folder_of(root: Path | None) -> Path:
    """The folder of a project's journals, to write into it.

    Raises:
        JournalError: there is no project to keep it in, and no variable names a folder.
    """
    folder = known_folder(root)
    if folder is None:
        raise JournalError(
            "What people say is kept in the folder `journal` of a project, and a manifest alone has"
            f" none: name a folder in {VARIABLE}."
        )
    return folder


def entries(root: Path | None, kind: Kind) -> tuple[Entry, ...]:
    """Every entry of a kind in a project's journal; none where there is no journal.

    Raises:
        JournalError: the file cannot be read, or was changed.
    """
    folder = known_folder(root)
    return () if folder is None else Journal(folder, kind).entries()


def mark(root: Path | None, kind: Kind) -> str:
    """What is another one once something more was said."""
    folder = known_folder(root)
    try:
        status = (folder / f"{kind}.jsonl").stat() if folder is not None else None
    except OSError:
        return ""
    return "" if status is None else f"{status.st_size}-{status.st_mtime_ns}"


def faults(folder: Path) -> list[str]:
    """What of the journals of a folder is not as it was said, in sentences."""
    return [fault for kind in KINDS for fault in Journal(folder, kind).faults()]


def _sealed(before: tuple[Entry, ...], content: Mapping[str, Any], by: str) -> tuple[Entry, bytes]:
    now = dt.datetime.now(dt.UTC)
    if before and before[-1].at >= now:  # the clock stands or went back
        now = before[-1].at + dt.timedelta(microseconds=1)
    record: dict[str, Any] = {
        "number": len(before) + 1, "at": now.isoformat(), "by": by, "content": dict(content),
        "previous": before[-1].hash if before else ORIGIN,
    }  # fmt: skip
    record["hash"] = sealed(record)
    try:
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError as problem:
        half = ord(problem.object[problem.start])
        raise JournalError(
            f"What is said is no text: U+{half:04X} is half of a character, without its other half."
        ) from None
    if len(line) > _LONGEST:
        raise JournalError(f"What is said has {len(line):,} bytes; {_LONGEST:,} are the most.")
    return Entry(record["number"], now, by, record["content"], record["hash"]), line


def _parsed(content: bytes, path: Path) -> tuple[Entry, ...]:
    """The entries of whole lines.

    Raises:
        JournalError: a line is no entry, or not the one that followed.
    """
    entries: list[Entry] = []
    previous = ORIGIN
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        place = f"{path}, entry {number}"
        try:
            record = json.loads(line)
            mark = record.pop("hash")
            if {*record, "hash"} != _KEYS:
                raise ValueError(place)  # noqa: TRY301 - as any other
            entry = Entry(
                int(record["number"]), dt.datetime.fromisoformat(record["at"]), str(record["by"]),
                dict(record["content"]), str(mark),
            )  # fmt: skip
        except (ValueError, TypeError, KeyError, AttributeError):
            raise JournalError(f"{place}: it is no entry: bring the file back from git.") from None
        if sealed(record) != mark:
            raise JournalError(f"{place}: it was edited: bring the file back from git.")
        if record["previous"] != previous or entry.number != number:
            raise JournalError(
                f"{place}: it does not follow the entry before it: one was deleted, inserted or"
                " replaced. Bring the file back from git."
            )
        previous = mark
        entries.append(entry)
    return tuple(entries)


def _missing(entries: tuple[Entry, ...], head: Head, place: str, path: Path) -> list[str]:
    if head.number > len(entries):
        text = (
            f"{path}: the end was cut off: {place} knows entry {head.number}, entry"
            f" {len(entries)} is the last"
        )
        return [text]
    if head.number and entries[head.number - 1].hash != head.hash:
        return [f"{path}, entry {head.number}: it is another one than {place} knows"]
    return []


def _heads(folder: Path) -> dict[str, Any]:
    path = folder / HEADS
    try:
        heads = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise JournalError(f"{path} cannot be read: {problem}.") from None
    if not isinstance(heads, dict):
        raise JournalError(f"{path} is none: bring it back from git.")
    return heads


def _of_kind(heads: dict[str, Any], kind: str) -> tuple[Head, Head | None]:
    entry = heads.get(kind)
    if not entry:
        return Head(), None
    intent = entry.get("intent")
    return (
        Head(int(entry["number"]), str(entry["hash"])),
        Head(int(intent["number"]), str(intent["hash"])) if intent else None,
    )
