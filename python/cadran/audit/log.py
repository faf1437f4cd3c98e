"""The record of questions: one entry a question, answered or refused."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import json
import logging
import os
import queue
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol

from cadran.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One question.

    Attributes:
        caller: who asked.
        protocol: `rest`, `graphql`, `flight` or `mcp`.
        kind: `query`, `values`, `compare` (its sides follow), `sql` (compiled only), `tables` or
            `page` (shown again).
        metrics: what was asked, with its version where it is a KPI: `net_revenue@2`.
        group_by: dimensions and grains.
        where: filters as asked, before those of the role.
        outcome: `answered`, `refused`, `failed`, `limited` or `stopped`.
        reason: why it was not answered.
        role: the role under which it was allowed.
        rows: of the answer.
        seconds: it took.
        cached: whether the answer was kept from before.
        at: when, in UTC.
    """

    caller: str
    protocol: str
    kind: str
    metrics: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    outcome: str = "answered"
    reason: str = ""
    role: str | None = None
    token: str | None = None
    rows: int = 0
    seconds: float = 0.0
    cached: bool = False
    at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))


class Audit(Protocol):
    """What keeps the record."""

    @property
    def lost(self) -> int:
        """Entries that could not be kept."""

    def write(self, entry: Entry) -> None:
        """Keep one entry; it is on disk soon after, and whole."""

    def close(self) -> None:
        """Write what waits."""


class NoAudit:
    """Keeps nothing, for a service of its own process alone."""

    lost = 0

    def write(self, entry: Entry) -> None:
        """Keep nothing."""

    def close(self) -> None:
        """Nothing waits."""


_LOG = logging.getLogger("cadran.access")
_MOST = 10_000  # entries that may wait
_WAIT = 0.25  # seconds that who asks may wait for room
_PAUSE = 0.02  # seconds in which entries gather, so that not each of them wakes the writer
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_FILE = re.compile(r"\d{4}-\d{2}\.jsonl")
_FIELDS = {field.name for field in fields(Entry)}


class Record:
    """Appends entries to the files of a folder. Thread-safe."""

    def __init__(
        self, folder: Path, *, most: int = _MOST, wait: float = _WAIT, strict: bool = False
    ) -> None:
        """Take a folder, which is made with the first entry.

        Args:
            folder: one file a month stands there.
            most: entries that may wait to be written.
            wait: seconds that `write` may wait for room among them.
            strict: have each entry in its file before `write` ends, and refuse where it cannot be.
        """
        self.folder = folder
        self.lost = 0
        self._wait = wait
        self._strict = strict
        self._waiting: queue.Queue[Entry | None] = queue.Queue(most)
        self._lock = threading.Lock()
        self._appending = threading.Lock()
        self._writer: threading.Thread | None = None
        self._month, self._file = "", -1

    def write(self, entry: Entry) -> None:
        """Keep one entry; it is on disk soon after, and whole.

        Raises:
            RecordError: it cannot be kept, and has to be.
        """
        if self._strict:
            with self._appending:
                is_written = self._append(entry)
            if not is_written:
                raise RecordError(
                    "The question cannot be recorded here, and is not answered without: tell"
                    " whoever keeps the server."
                )
            return
        if self._writer is None:
            self._begin()
        try:
            self._waiting.put(entry, timeout=self._wait)
        except queue.Full:
            with self._lock:
                self.lost += 1
                number = self.lost
            if number == 1 or number % 1000 == 0:
                _LOG.error("the record of questions cannot keep up: %s entries were lost", number)

    def close(self) -> None:
        """Write what waits, and end."""
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is not None:
            self._waiting.put(None)
            writer.join()
        if self._file >= 0:
            os.close(self._file)
            self._month, self._file = "", -1

    def _begin(self) -> None:
        with self._lock:
            if self._writer is None:
                self._writer = threading.Thread(target=self._run, name="record", daemon=True)
                self._writer.start()

    def _run(self) -> None:
        reported, ended = 0, False
        while not ended:
            entry = self._waiting.get()
            ended = entry is None
            if entry is not None:
                self._append(entry)
                if self._waiting.empty():
                    time.sleep(_PAUSE)
            if self.lost > reported and (ended or self._waiting.empty()):
                number, reported = self.lost - reported, self.lost
                reason = f"{number} entries before this one were lost: the disk could not keep up"
                self._append(Entry("cadran", "record", "lost", outcome="failed", reason=reason))
                if ended:
                    self.lost = reported  # the note is no question, whether or not it could be kept

    def _append(self, entry: Entry) -> bool:
        try:
            month = f"{entry.at:%Y-%m}"
            if month != self._month:
                self._open(month)
            line = _ENCODE(_payload(entry)) + "\n"
            content = line.encode("utf-8", "backslashreplace")
            if os.write(self._file, content) < len(content):
                self._month = ""  # opened again, so that the torn line does not tear the next
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 - as any other
        except (OSError, ValueError, TypeError) as problem:
            with self._lock:
                self.lost += 1
            _LOG.error("a question could not be recorded in %s: %s", self.folder, problem)
            return False
        return True

    def _open(self, month: str) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._month, self._file = "", -1
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"{month}.jsonl"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._month = month
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")  # a line that was torn must not tear the next


@dataclass(frozen=True, slots=True)
class Read:
    """What a folder holds.

    Attributes:
        entries: in the order in which they were written.
        torn: places of lines that cannot be read, such as `2026-11.jsonl:1204`.
    """

    entries: tuple[Entry, ...]
    torn: tuple[str, ...]


def read(folder: Path, since: dt.datetime | None = None) -> Read:
    """The entries of a folder, those since an instant; torn lines are skipped and told."""
    entries, torn = [], []
    for path in files(folder):
        if since is not None and path.stem < f"{since:%Y-%m}":
            continue
        for place, line in _lines(path):
            try:
                entry = _entry(json.loads(line))
            except (ValueError, TypeError, KeyError):
                torn.append(place)
                continue
            if since is None or entry.at >= since:
                entries.append(entry)
    return Read(tuple(entries), tuple(torn))


def files(folder: Path) -> list[Path]:
    """The files of a folder, the oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _FILE.fullmatch(path.name))


def began(folder: Path) -> dt.datetime | None:
    """When the first entry that can be read was written; None where there is none."""
    for path in files(folder):
        for _, line in _lines(path):
            with contextlib.suppress(ValueError, TypeError, KeyError):
                return _entry(json.loads(line)).at
    return None


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield f"{path.name}:{number}", line


def _payload(entry: Entry) -> dict[str, Any]:
    """An entry as JSON types; what is empty is left out."""
    payload: dict[str, Any] = {"at": entry.at.astimezone(dt.UTC).isoformat(timespec="milliseconds")}
    for attribute in fields(Entry):
        value = getattr(entry, attribute.name)
        if attribute.name == "seconds":
            payload["seconds"] = round(value, 6)
        elif attribute.name != "at" and (value or attribute.name == "rows"):
            payload[attribute.name] = list(value) if isinstance(value, tuple) else value
    return payload


def _entry(payload: dict[str, Any]) -> Entry:
    values = {name: value for name, value in payload.items() if name in _FIELDS}
    for name in ("metrics", "group_by", "where"):
        values[name] = tuple(values.get(name, ()))
    values["at"] = dt.datetime.fromisoformat(values["at"])
    return Entry(**values)


BOUNDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # seconds


class Counting:
    """Counts questions as they are recorded, and passes them on to the record."""

    def __init__(self, audit: Audit) -> None:
        """Stand before a record."""
        self._audit = audit
        self.questions: Counter[tuple[str, str, bool]] = Counter()
        self.buckets: Counter[float] = Counter()
        self.seconds = 0.0

    @property
    def lost(self) -> int:
        """Entries that could not be kept."""
        return self._audit.lost

    def write(self, entry: Entry) -> None:
        """Count and pass on."""
        self.questions[entry.protocol, entry.outcome, entry.cached] += 1
        self.seconds += entry.seconds
        self.buckets[next((b for b in BOUNDS if entry.seconds <= b), float("inf"))] += 1
        self._audit.write(entry)

    def close(self) -> None:
        """Close the record."""
        self._audit.close()
