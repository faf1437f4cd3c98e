"""Queries that were created: they run in worker threads and wait for who created them.

What is kept is bounded in number and bytes, and goes some minutes after it was last asked for.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import secrets
import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cadran.errors import CadranError, LimitError, QueryError
from cadran.server.problems import problem_of
from cadran.serving.execution import Cancellation

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future

    from cadran.access.caller import Caller


_MEGABYTE = 1_000_000
KEPT = 600.0  # seconds


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a query: rows with their SQL and what is said beside them, or what was wrong."""

    table: pa.Table | None = None
    sql: str | None = None
    error: str | None = None
    note: str = ""
    complete_through: dict[str, str | None] = field(default_factory=dict)
    watermark: str | None = None


@dataclass(eq=False, slots=True)
class Job:
    """One created query.

    Attributes:
        id: the number under which its owner asks for it.
        owner: who created it.
        stop: stops it.
        future: is done when the outcome is there; None where it was there at once.
        outcome: what came of it; None until then.
        touched: when it was last asked for.
    """

    id: str
    owner: Caller
    stop: Cancellation = field(default_factory=Cancellation)
    future: Future[None] | None = None
    outcome: Outcome | None = None
    touched: float = 0.0

    @property
    def table(self) -> pa.Table | None:
        """Its rows, where there are any to have."""
        return None if self.outcome is None else self.outcome.table

    @property
    def size(self) -> int:
        """Bytes of its rows."""
        return 0 if self.table is None else int(self.table.nbytes)

    @property
    def status(self) -> str:
        """`pending`, `running`, `successful` or `failed`."""
        if self.outcome is not None:
            return "failed" if self.outcome.error else "successful"
        return "running" if self.future is not None and self.future.running() else "pending"


@dataclass(frozen=True, slots=True)
class Room:
    """How much is kept.

    Attributes:
        most: queries.
        each: queries of one caller.
        size: bytes of rows.
        seconds: after which a query goes that nobody asks for.
    """

    most: int = 1_024
    each: int = 256
    size: int = 256 * _MEGABYTE
    seconds: float = KEPT


class Jobs:
    """The created queries of a server. Thread-safe."""

    def __init__(
        self,
        workers: Executor,
        room: Room | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the threads in which queries run, how much is kept, and what tells the seconds."""
        self._workers = workers
        self._room = room or Room()
        self._clock = clock
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, Job] = OrderedDict()  # who was asked for last stands last
        self._owned: Counter[Caller] = Counter()
        self._bytes = 0

    def start(self, owner: Caller, work: Callable[[Cancellation], Outcome]) -> Job:
        """Run a query in a worker thread.

        Raises:
            LimitError: too many are running.
        """
        job = self._added(Job(secrets.token_hex(16), owner))
        job.future = self._workers.submit(self._run, job, work)
        return job

    def ready(self, owner: Caller, outcome: Outcome) -> Job:
        """A query whose outcome is there already.

        Raises:
            LimitError: too many are running.
        """
        job = self._added(Job(secrets.token_hex(16), owner))
        self._finish(job, outcome)
        return job

    def get(self, owner: Caller, number: str) -> Job:
        """A query of this caller.

        Raises:
            QueryError: this caller has no such query, or has it no more.
        """
        with self._lock:
            self._expire()
            job = self._jobs.get(number)
            if job is None or job.owner != owner:
                minutes = self._room.seconds / 60
                raise QueryError(
                    f"There is no query '{number[:64]}' of yours. A query is kept for {minutes:g}"
                    " minutes after it was last asked for: create it again."
                )
            self._touch(job)
            return job

    def cancel(self, owner: Caller, number: str) -> Job:
        """Stop a query of this caller; one that has ended stays as it is.

        Raises:
            QueryError: as `get`.
        """
        job = self.get(owner, number)
        if job.outcome is None:
            self._finish(job, Outcome(error="The query was cancelled."))
            if job.future is not None:
                job.future.cancel()
            job.stop.set()
        return job

    def sweep(self) -> None:
        """Let go of what nobody asked for lately."""
        with self._lock:
            self._expire()

    def close(self) -> None:
        """Stop what runs, and let go of everything."""
        with self._lock:
            jobs = list(self._jobs.values())
            for job in jobs:
                self._remove(job)
        for job in jobs:
            job.stop.set()

    def __len__(self) -> int:
        return len(self._jobs)

    def _run(self, job: Job, work: Callable[[Cancellation], Outcome]) -> None:
        try:
            outcome = work(job.stop)
        except CadranError as problem:
            outcome = Outcome(error=str(problem))
        except Exception as problem:  # noqa: BLE001 - it is logged, and the client told so
            outcome = Outcome(error=problem_of(problem).sentence)
        self._finish(job, outcome)

    def _finish(self, job: Job, outcome: Outcome) -> None:
        if outcome.table is not None and outcome.table.nbytes > self._room.size:
            most = self._room.size / _MEGABYTE
            outcome = Outcome(
                error=f"The answer has {outcome.table.nbytes / _MEGABYTE:,.0f} MB; over GraphQL at"
                f" most {most:,.0f} MB are kept. Ask for fewer rows, or over Flight SQL."
            )
        with self._lock:
            if job.outcome is not None:  # cancelled in the meantime
                return
            job.outcome = outcome
            if job.id not in self._jobs:  # the server stops
                return
            self._bytes += job.size
            self._touch(job)
            while self._bytes > self._room.size and self._give_way(job.owner, job):
                pass

    def _added(self, job: Job) -> Job:
        with self._lock:
            self._expire()
            owner = job.owner
            full = self._owned[owner] >= self._room.each
            if full or len(self._jobs) >= self._room.most:
                gone = self._give_way(owner, job, others=not full)
                if not gone:
                    raise LimitError(
                        f"{self._owned[owner]} queries of yours are running: wait for one of them.",
                        retry_after=1.0,
                    )
            self._jobs[job.id] = job
            self._owned[owner] += 1
            self._touch(job)
        return job

    def _give_way(self, owner: Caller, to: Job, *, others: bool = True) -> bool:
        """Remove the ended query that was asked for longest ago, of this caller if it has one."""
        jobs = self._jobs.values()
        ended = (job for job in jobs if job.outcome is not None and job is not to)
        own = (job for job in jobs if job.owner == owner and job.outcome and job is not to)
        gone = next(own, None) or (next(ended, None) if others else None)
        if gone is not None:
            self._remove(gone)
        return gone is not None

    def _touch(self, job: Job) -> None:
        job.touched = self._clock()
        self._jobs.move_to_end(job.id)

    def _remove(self, job: Job) -> None:
        del self._jobs[job.id]
        self._bytes -= job.size
        self._owned[job.owner] -= 1
        if not self._owned[job.owner]:
            del self._owned[job.owner]

    def _expire(self) -> None:
        before = self._clock() - self._room.seconds
        while self._jobs:
            job = next(iter(self._jobs.values()))
            if job.touched >= before:
                return
            if job.outcome is None:
                self._touch(job)  # it still runs
            else:
                self._remove(job)


ROWS = 8_192  # of a page


def count(table: pa.Table) -> int:
    """How many pages a table has; an empty one has one."""
    return max(1, -(-int(table.num_rows) // ROWS))


def page_of(table: pa.Table, number: int) -> pa.Table:
    """One page of a table, counted from 1.

    Raises:
        QueryError: there is no such page.
    """
    if not 1 <= number <= count(table):
        raise QueryError(f"There is no page {number}: the answer has pages 1 to {count(table)}.")
    return table.slice((number - 1) * ROWS, ROWS)


def arrow(table: pa.Table) -> str:
    """A table as a stream of Arrow IPC, in base64."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue()).decode()


def as_json(table: pa.Table, orient: str, *, encoded: bool) -> str:
    """A table as JSON in one of pandas' orientations; in base64 where it is to be encoded."""
    columns = table.column_names
    rows = [[_plain(value) for value in row.values()] for row in table.to_pylist()]
    text = json.dumps(_ORIENTS[orient](table, columns, rows), separators=(",", ":"))
    return base64.b64encode(text.encode()).decode() if encoded else text


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no word for it
    return value


def _kind(type_: pa.DataType) -> str:
    kinds: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_integer, "integer"),
        (pa.types.is_floating, "number"),
        (pa.types.is_decimal, "number"),
        (pa.types.is_temporal, "datetime"),
    )
    return next((kind for fits, kind in kinds if fits(type_)), "string")


def _table(table: pa.Table, columns: list[str], rows: list[list[Any]]) -> Any:
    fields = [{"name": "index", "type": "integer"}]
    fields += [{"name": column.name, "type": _kind(column.type)} for column in table.schema]
    return {
        "schema": {"fields": fields, "primaryKey": ["index"], "pandas_version": "1.4.0"},
        "data": [
            {"index": number, **dict(zip(columns, row, strict=True))}
            for number, row in enumerate(rows)
        ],
    }


_ORIENTS: dict[str, Callable[[pa.Table, list[str], list[list[Any]]], Any]] = {
    "table": _table,
    "records": lambda _, columns, rows: [dict(zip(columns, row, strict=True)) for row in rows],
    "values": lambda _, __, rows: rows,
    "split": lambda _, columns, rows: {
        "columns": columns, "index": list(range(len(rows))), "data": rows,
    },
    "index": lambda _, columns, rows: {
        str(number): dict(zip(columns, row, strict=True)) for number, row in enumerate(rows)
    },
    "columns": lambda _, columns, rows: {
        name: {str(number): row[place] for number, row in enumerate(rows)}
        for place, name in enumerate(columns)
    },
}  # fmt: skip
