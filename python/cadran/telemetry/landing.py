"""Written down before it is answered: write-ahead segments, and what becomes of them.

    wal/<segment>.wal                                     bodies as they came
    wal/aside/<segment>.wal                               those that cannot be landed
    parts/<table>/date=2026-11-24/hour=09/<segment>.parquet   their rows, by table and hour
    state/<segment>.json                                  what changed in `State` by them
    telemetry/<table>/...                                 whole minutes for the build: `compaction`

A body is appended to the open segment and answered when an fsync holds it; one fsync serves all
bodies that wait. A segment is closed after a moment, its rows are written to parts, and then its
state: from that instant on it is committed, and its write-ahead file goes. At start the segments
that are not committed are read again, in their order, and make the same parts under the same names.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import shutil
import struct
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from cadran.errors import CadranError, LimitError, ProjectError
from cadran.formats.files import sync_folder, write_file
from cadran.telemetry.records import MOST, Rows
from cadran.telemetry.settings import MEGABYTE
from cadran.telemetry.state import RefusedPointError, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cadran.telemetry.records import Batch, Point
    from cadran.telemetry.settings import Settings

_LOG = logging.getLogger("cadran.collect")
_HEADER = struct.Struct("<4sIIBBQ16s")  # mark, length, crc, kind, form, received, hash
_MARK = b"cdr1"
_WHOLE = 600  # segments between two whole states
_WAITING = 30  # closed segments that may wait to be landed
_RETRY = 1.0  # seconds between two attempts to land
_STOP = 60
_REASONS = 1000


class FullError(CadranError, RuntimeError):
    """The disk has no room, or refuses to write."""


class Record(NamedTuple):
    """A body as it is written down.

    Attributes:
        kind: what it is, a number of the collector's.
        form: how it is packed, a number of the collector's.
        received: when, in nanoseconds.
        body_hash: sixteen bytes by which it is known again.
    """

    kind: int
    form: int
    received: int
    body_hash: bytes
    body: bytes


@dataclass(slots=True)
class _Entry:
    record: Record
    batch: Batch
    size: int
    done: asyncio.Future[None]


@dataclass(slots=True)
class _Segment:
    id: str
    opened: float
    rows: Rows
    size: int = 0
    is_whole: bool = True
    changes: dict[str, dict[str, object]] = field(default_factory=dict)


class WriteAhead:
    """The open write-ahead segment of a folder."""

    def __init__(self, folder: Path) -> None:
        """Stand in a folder; nothing is opened yet."""
        self._folder = folder
        self._handle: int | None = None
        self._size = 0

    def append(self, segment: str, records: list[Record]) -> None:
        """Write records and wait until the disk has them.

        Raises:
            OSError: it could not; nothing of them is then in the file.
        """
        block = b"".join(_packed(record) for record in records)
        if self._handle is None:
            path = self._folder / f"{segment}.wal"
            self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._size = os.fstat(self._handle).st_size
            sync_folder(self._folder)
        try:
            view = memoryview(block)
            while view:
                view = view[os.write(self._handle, view) :]
            os.fdatasync(self._handle)
        except OSError:
            # A torn record in the middle would hide all that follow it.
            os.ftruncate(self._handle, self._size)
            os.fsync(self._handle)
            raise
        self._size += len(block)

    def close(self) -> None:
        """Close the segment."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _packed(record: Record) -> bytes:
    kind, form, received, body_hash, body = record
    tail = struct.pack("<BBQ16s", kind, form, received, body_hash) + body
    return struct.pack("<4sII", _MARK, len(body), zlib.crc32(tail)) + tail


def records(path: Path) -> Iterator[Record]:
    """The whole records of a write-ahead segment; one that is torn was never answered."""
    data = path.read_bytes()
    at = 0
    while at + _HEADER.size <= len(data):
        mark, length, crc, kind, form, received, body_hash = _HEADER.unpack_from(data, at)
        end = at + _HEADER.size + length
        if mark != _MARK or end > len(data) or zlib.crc32(data[at + 12 : end]) != crc:
            break
        yield Record(kind, form, received, body_hash, data[at + _HEADER.size : end])
        at = end
    if at < len(data):
        _LOG.warning("%s: the last %d bytes are torn and were never answered", path, len(data) - at)


class Landing:
    """Takes records in, answers when they are on disk, and lands them.

    Attributes:
        state: what is remembered.
        counts: what was taken, by name, for the status page.
        reasons: what was refused or said, with how often.
        committed: the last segment whose rows are landed.
    """

    def __init__(
        self, settings: Settings, decode: Callable[[Record], Batch], now: Callable[[], int]
    ) -> None:
        """Take the settings, what reads a record again after a crash, and the clock."""
        self.settings, self._decode, self._now = settings, decode, now
        self.folder = settings.folder
        self.state = State(retries=settings.keep.retries, series=settings.limits.series)
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.committed = ""
        self.ready = asyncio.Event()
        self._wal = WriteAhead(self.folder / "wal")
        self._waiting: list[_Entry] = []
        self._pending: dict[bytes, asyncio.Future[None]] = {}
        self._wake = asyncio.Event()
        self._closed: asyncio.Queue[_Segment] = asyncio.Queue()
        self._segment: _Segment | None = None
        self._bytes = 0
        self._last_id = ""
        self._states = 0
        self._stopping = False
        self._lock: int | None = None
        self._disk = (0.0, True)

    def open(self) -> None:
        """Make the folders, and let no other collector in.

        Raises:
            ProjectError: another collector writes here.
        """
        for name in ("wal", "parts", "state", "telemetry"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ProjectError(
                f"{self.folder} is written by another collector: stop it, or name another folder."
            ) from None

    async def run(self) -> None:
        """Read what a crash left, then write and land until `stop`."""
        lander = asyncio.create_task(self._land_all())
        try:
            await self._recover()
            self.ready.set()
            while not (self._stopping and not self._waiting):
                await self._turn()
            self._close_segment()
            await asyncio.wait_for(self._closed.join(), _STOP)
        finally:
            lander.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await lander
            self._wal.close()
            if self._lock is not None:
                os.close(self._lock)

    def stop(self) -> None:
        """Take nothing more, and land what was taken."""
        self._stopping = True
        self._wake.set()

    def check_room(self, size: int) -> None:
        """See that there is room for a body.

        Raises:
            LimitError: the memory is full: the sender may come again soon.
            FullError: the disk is full, or cannot keep up.
        """
        most = self.settings.limits.memory * MEGABYTE
        if self._bytes + size > most:
            raise LimitError(
                f"{self._bytes / MEGABYTE:.0f} MB wait to be landed: send again in a second.",
                retry_after=1.0,
            )
        if self._stopping or self._closed.qsize() > _WAITING:
            raise FullError("Nothing can be taken now: what was taken is still to be landed.")
        if not self._has_disk():
            raise FullError(
                f"The disk has less than {self.settings.limits.disk:g} MB left for telemetry."
            )

    async def take(self, record: Record, batch: Batch, size: int) -> bool:
        """Write a record down; False where the same body was taken before.

        Raises:
            LimitError: the memory is full.
            FullError: the disk is full or refuses.
        """
        pending = self._pending.get(record.body_hash)
        if pending is not None:
            await asyncio.shield(pending)
            return False
        if self.ready.is_set() and self.state.has(record.body_hash.hex(), record.received):
            self.counts["bodies_again"] += 1
            return False
        self.check_room(size)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending[record.body_hash] = done
        self._waiting.append(_Entry(record, batch, size, done))
        self._bytes += size
        self._wake.set()
        await asyncio.shield(done)
        return True

    def _has_disk(self) -> bool:
        at, has = self._disk
        now = time.monotonic()
        if now - at > 1:
            try:
                free = shutil.disk_usage(self.folder).free
            except OSError:
                free = 0
            has = free >= self.settings.limits.disk * MEGABYTE
            self._disk = (now, has)
        return has

    async def _turn(self) -> None:
        """Wait for records or for the segment's end, and see to both."""
        segment = self._segment
        wait = None
        if segment is not None:
            wait = max(0.0, segment.opened + self.settings.flush - time.monotonic())
        if not self._waiting and not self._stopping:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait)
        self._wake.clear()
        if segment is not None and time.monotonic() >= segment.opened + self.settings.flush:
            self._close_segment()
        entries, self._waiting = self._waiting, []
        # After a crash the same body may have come while the segments were still being read.
        entries = [entry for entry in entries if not self._was_taken(entry)]
        if entries:
            await self._write(entries)

    def _was_taken(self, entry: _Entry) -> bool:
        if not self.state.has(entry.record.body_hash.hex(), entry.record.received):
            return False
        self.counts["bodies_again"] += 1
        self._answer(entry, None)
        self._bytes -= entry.size
        return True

    async def _write(self, entries: list[_Entry]) -> None:
        if self._segment is None:
            self._segment = _Segment(self._next_id(), time.monotonic(), self._rows())
        records = [entry.record for entry in entries]
        try:
            await asyncio.to_thread(self._wal.append, self._segment.id, records)
        except OSError as problem:
            _LOG.error("cannot write to %s: %s", self.folder / "wal", problem)
            for entry in entries:
                self._bytes -= entry.size
                self._answer(entry, FullError(f"The disk refuses to write: {problem.strerror}."))
            return
        for entry in entries:
            self._segment.size += entry.size
            self._add(self._segment, entry.record, entry.batch)
            self._answer(entry, None)

    def _answer(self, entry: _Entry, problem: Exception | None) -> None:
        self._pending.pop(entry.record.body_hash, None)
        if entry.done.done():
            return
        if problem is None:
            entry.done.set_result(None)
        else:
            entry.done.set_exception(problem)
            entry.done.exception()  # a client that went away must not make a log line

    def _add(self, segment: _Segment, record: Record, batch: Batch) -> None:
        """Add a record that is on disk to the rows of its segment, and to the state."""
        state = self.state
        state.take(record.body_hash.hex(), record.received)
        add, requests = segment.rows.count, 0
        for request in batch.requests:
            if self._knows(batch, request.service):
                add(request, state.route(request.service, request.route))
                requests += request.weight
        self.counts["requests"] += requests
        for point in batch.points:
            if self._knows(batch, point.service):
                self._add_point(segment.rows, point, batch)
        for table, entries in batch.tables.items():
            rows = [row for row in entries if self._knows(batch, row["service_id"])]
            segment.rows.tables[table] += rows
            self.counts[table] += len(rows)
        if batch.offset:
            state.read_to(*batch.offset)
        self.counts["bodies"] += 1
        self.counts["rejected"] += batch.rejected
        self.counts["ignored"] += batch.ignored
        for reason, count in batch.reasons.items():
            if reason not in self.reasons:
                _LOG.warning("%s", reason)
            if reason in self.reasons or len(self.reasons) < _REASONS:
                self.reasons[reason] += count

    def _add_point(self, rows: Rows, point: Point, batch: Batch) -> None:
        try:
            delta = self.state.delta(point)
        except RefusedPointError as problem:
            batch.reject(str(problem))
            return
        if delta is None:
            return
        if max(delta) > MOST:
            batch.reject(f"a point of {point.service} counts {max(delta)}; it can have {MOST}.")
            return
        if not rows.count_point(point, self.state.route(point.service, point.route), delta):
            batch.note(
                f"histogram of {point.service} has no buckets at 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5"
                " and 5 s where its requests are: they are counted without latency. Give the SDK a"
                " view with these bounds (docs/collect.md)."
            )
        if point.le is None or point.le == float("inf"):
            self.counts["requests"] += delta[0]

    def _knows(self, batch: Batch, service: str) -> bool:
        if self.state.service(service):
            return True
        batch.reject("there are too many services: service.name has to be a name, not an instance.")
        return False

    def _rows(self) -> Rows:
        return Rows(lines=self.settings.keep.request_lines > 0)

    def _next_id(self) -> str:
        now = self._now() // 1_000_000
        least = int(self._last_id or 0) + 1
        self._last_id = f"{max(now, least):015d}"
        return self._last_id

    def _close_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            self._wal.close()
            segment.changes = self.state.changes()
            self._closed.put_nowait(segment)

    async def _recover(self) -> None:
        """Read the state, then the segments that were not landed."""
        self.committed = self._last_id = await asyncio.to_thread(self._read_state)
        for path in sorted((self.folder / "wal").glob("*.wal")):
            if path.stem <= self.committed:
                path.unlink()
                continue
            segment = _Segment(path.stem, time.monotonic(), self._rows())
            self._last_id = path.stem
            for record in records(path):
                if self.state.has(record.body_hash.hex(), record.received):
                    continue
                try:
                    batch = await asyncio.to_thread(self._decode, record)
                except Exception:  # noqa: BLE001 - it could be read when it was answered
                    _LOG.exception("%s: a body cannot be read again", path)
                    segment.is_whole = False
                    continue
                requests = self.counts["requests"]
                self._add(segment, record, batch)
                self.counts["bodies_recovered"] += 1
                self.counts["requests_recovered"] += self.counts["requests"] - requests
                await asyncio.sleep(0)
            segment.changes = self.state.changes()
            self._closed.put_nowait(segment)

    def _read_state(self) -> str:
        for aside in self.folder.rglob(".*.part"):
            aside.unlink()  # what a crash left half written
        last = ""
        for path in sorted((self.folder / "state").glob("*.json")):
            self.state.apply(json.loads(path.read_bytes()))
            last = path.stem.removesuffix("-whole")
        self.state.changes()
        self.state.forget(self._now())
        return last

    async def _land_all(self) -> None:
        """Land closed segments one after the other, again and again where the disk refuses."""
        while True:
            segment = await self._closed.get()
            while True:
                try:
                    await asyncio.to_thread(self._land, segment)
                    break
                except (OSError, MemoryError) as problem:
                    _LOG.error("cannot land segment %s, will try again: %s", segment.id, problem)
                    await asyncio.sleep(_RETRY)
            self.committed = segment.id
            self._bytes -= segment.size
            self._states += 1
            if self._states >= _WHOLE:
                self._states = 0
                await asyncio.to_thread(self._merge_states)
            self._closed.task_done()

    def _land(self, segment: _Segment) -> None:
        from cadran.telemetry import parts

        try:
            parts.write(self.folder, segment.id, segment.rows)
        except (OSError, MemoryError):
            raise
        except Exception:  # noqa: BLE001 - those that follow must not wait for it
            _LOG.exception("segment %s cannot be landed", segment.id)
            segment.is_whole = False
        content = json.dumps(segment.changes).encode()
        write_file(self.folder / "state" / f"{segment.id}.json", lambda aside: _put(aside, content))
        written = self.folder / "wal" / f"{segment.id}.wal"
        if segment.is_whole:
            written.unlink(missing_ok=True)
        else:  # what follows is landed all the same
            (written.parent / "aside").mkdir(exist_ok=True)
            written.replace(written.parent / "aside" / written.name)
            self.counts["segments_aside"] += 1

    def _merge_states(self) -> None:
        """Replace the changes that are written down by one whole state."""
        state = State(retries=self.settings.keep.retries, series=self.settings.limits.series)
        files = sorted((self.folder / "state").glob("*.json"))
        for path in files:
            state.apply(json.loads(path.read_bytes()))
        state.forget(self._now())
        content = json.dumps(state.snapshot()).encode()
        target = files[-1].with_name(f"{files[-1].stem.removesuffix('-whole')}-whole.json")
        write_file(target, lambda aside: _put(aside, content))
        for path in files:
            if path != target:
                path.unlink()


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
