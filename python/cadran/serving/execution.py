"""How questions run: kept answers, one run for all who ask the same, stops and bounds."""

from __future__ import annotations

import heapq
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from cadran.core.comparison import Comparison
from cadran.core.recent import Recent
from cadran.errors import LimitError, StoppedError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from cadran.access.caller import Caller
    from cadran.access.gate import Allowed
    from cadran.core.layer import Layer
    from cadran.core.query.request import Query
    from cadran.serving.response import Answer

_TURNS = 3  # of a comparison whose data are replaced meanwhile
_AGAIN = 0.05  # seconds between two interrupts of a statement that goes on
MEGABYTE = 1_000_000


class Cancellation:
    """Set once, by any thread; whoever works asks for it or is called."""

    def __init__(self) -> None:
        """Begin unset."""
        self._lock = threading.Lock()
        self._calls: list[Callable[[], None]] = []
        self.is_set = False

    def set(self) -> None:
        """Stop: everybody who asked to be called is called, in this thread."""
        with self._lock:
            self.is_set = True
            calls, self._calls = self._calls, []
            # Called under the lock, so that `done` in another thread means: not called any more.
            for call in calls:
                call()

    def when(self, call: Callable[[], None]) -> Callable[[], None]:
        """Call this when it is set, at once if it is; returns what takes that back."""
        with self._lock:
            if self.is_set:
                call()
            else:
                self._calls.append(call)

        def done() -> None:
            with self._lock:
                if call in self._calls:
                    self._calls.remove(call)

        return done


class Deadlines:
    """Calls what is due: one thread for all, started by the first."""

    def __init__(self) -> None:
        """Begin without a thread."""
        self._ready = threading.Condition()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()
        self._thread: threading.Thread | None = None
        self._is_over = False

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call this after so many seconds; it must not wait for anything."""
        with self._ready:
            if self._is_over:
                return
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._number), call))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="clock", daemon=True)
                self._thread.start()
            self._ready.notify()

    def close(self) -> None:
        """Call nothing any more, and end the thread: what waits may hold a connection."""
        with self._ready:
            self._is_over = True
            self._due.clear()
            self._ready.notify()
        if self._thread is not None:
            self._thread.join(1)

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._due:
                    if self._is_over:
                        return
                    self._ready.wait()
                wait = self._due[0][0] - time.monotonic()
                if wait > 0:
                    self._ready.wait(wait)
                    continue
                call = heapq.heappop(self._due)[2]
            call()
            del call  # it may hold a connection


class Interrupting:
    """Interrupts the statement of a thread from when a stop is set until the block ends.

    An interrupt that comes before a statement begins is lost, so it is given again and again.
    """

    def __init__(
        self, stop: Cancellation, interrupt: Callable[[], None], deadlines: Deadlines
    ) -> None:
        """Take what interrupts, and the deadlines that give it again."""
        self._stop, self._interrupt, self._deadlines = stop, interrupt, deadlines
        self._lock = threading.Lock()
        self._over = False

    def __enter__(self) -> None:
        """Begin to listen for the stop."""
        self._taken_back = self._stop.when(self._again)

    def __exit__(self, *_: object) -> None:
        """Interrupt no more: the next statement of this thread is another's."""
        with self._lock:
            self._over = True
        self._taken_back()

    def _again(self) -> None:
        with self._lock:
            if self._over:
                return
            self._interrupt()
        self._deadlines.after(_AGAIN, self._again)


def bounded(allowed: Allowed, caller: Caller) -> Allowed:
    """The question with a limit one row above what the caller may take, if it had none below."""
    most, query = caller.limits.rows, allowed.query
    if most is None or (query.limit is not None and query.limit <= most + 1):
        return allowed
    return replace(allowed, query=replace(query, limit=most + 1))


def whole(answer: Answer, allowed: Allowed, caller: Caller) -> Answer:
    """The answer to a bounded question as that to the whole one, when all of it is there.

    Raises:
        LimitError: it is more than the caller may take.
    """
    check_limits(answer, caller)
    if answer.key == repr(allowed):
        return answer
    query = replace(answer.query, limit=allowed.query.limit)
    kept_as = answer.state, allowed
    return replace(answer, query=query, key=repr(allowed), kept_as=kept_as)


def check_limits(answer: Answer, caller: Caller) -> None:
    """Hold an answer against the limits of the caller.

    Raises:
        LimitError: it is more than the caller may take.
    """
    most, megabytes = caller.limits.rows, caller.limits.megabytes
    rows, size = answer.table.num_rows, answer.table.nbytes / MEGABYTE
    if most is not None and rows > most:
        raise LimitError(
            f"The answer has more than {most:,} rows; {caller.name} may take {most:,}: ask for"
            " fewer with limit, a filter, a time range or a coarser grain."
        )
    if megabytes is not None and size > megabytes:
        raise LimitError(
            f"The answer has {size:.1f} MB; {caller.name} may take {megabytes:g} MB: ask for less"
            " with limit, a filter, a time range or a coarser grain."
        )


_SHARE = 4  # an answer larger than this part of the whole is not kept: it would push all out


class Cache(Recent["Answer"]):
    """A store of answers, bounded in bytes. The state of the data is part of each key.

    So nothing in it is ever stale: a new state asks under new keys, and `keep` frees the room of
    the old ones.
    """

    def __init__(self, most_bytes: int) -> None:
        """Keep at most so many bytes; 0 keeps nothing."""
        super().__init__(most_bytes, lambda answer: answer.size, largest=most_bytes // _SHARE)

    def put(self, key: Hashable, answer: Answer) -> None:
        """Keep an answer, or weigh it again after a form was added to it."""
        super().put(key, answer if answer.cached else replace(answer, cached=True))


class _Flight:
    """One run, and how many wait for it."""

    def __init__(self) -> None:
        self.future: Future[Answer] = Future()
        self.stop = Cancellation()
        self.waiting = 0


class SingleFlight:
    """Runs a question once for all who ask it at the same time."""

    def __init__(self) -> None:
        """Nothing is in flight."""
        self._lock = threading.Lock()
        self._flying: dict[Hashable, _Flight] = {}

    def run(
        self, key: Hashable, work: Callable[[Cancellation], Answer], stop: Cancellation
    ) -> Answer:
        """The answer of `work`, which this thread runs unless another one does already.

        The run is stopped when everybody who waits for it has stopped.

        Raises:
            StoppedError: this caller stopped, or everybody did.
        """
        with self._lock:
            flight = self._flying.get(key)
            leads = flight is None
            if flight is None:
                flight = self._flying[key] = _Flight()
            flight.waiting += 1
        left = threading.Event()

        def leave() -> None:
            if left.is_set():
                return
            left.set()
            with self._lock:
                flight.waiting -= 1
                last = flight.waiting == 0
                if last and self._flying.get(key) is flight:
                    del self._flying[key]  # who comes now begins anew
            if last:
                flight.stop.set()

        done = stop.when(leave)
        try:
            if leads:
                self._lead(key, flight, work)
            return _landed(flight.future, left)
        finally:
            done()

    def _lead(self, key: Hashable, flight: _Flight, work: Callable[[Cancellation], Answer]) -> None:
        try:
            flight.future.set_result(work(flight.stop))
        except BaseException as problem:
            flight.future.set_exception(problem)
            if not isinstance(problem, Exception):
                raise
        finally:
            with self._lock:
                if self._flying.get(key) is flight:
                    del self._flying[key]


def _landed(future: Future[Answer], left: threading.Event) -> Answer:
    while True:
        try:
            return future.result(timeout=0.05 if not future.done() else None)
        except FutureTimeout:
            if future.done():
                raise
            if left.is_set():
                raise StoppedError("The question was stopped before it was answered.") from None


def compared(query: Query, layer: Layer, ask: Callable[[Query], Answer]) -> Answer:
    """An answer beside that of earlier days; each side is an answer as any other.

    Args:
        query: with `compare`.
        layer: the definitions of the data that are served.
        ask: answers a question without it, as whoever asks may see it.

    Raises:
        WarehouseError: the data were replaced between the sides, more than once.
        CadranError: as `Comparison`.
    """
    for _ in range(_TURNS):
        answers: list[Answer] = []

        def answer(side: Query, answers: list[Answer] = answers) -> Answer:
            answers.append(ask(side))
            return answers[-1]

        both = Comparison(
            query, layer, answer, layer.complete_through, layer.reaches.begins_within
        ).result()
        if len({part.state.partition("-")[0] for part in answers}) == 1:
            break
    else:
        raise WarehouseError(
            "The numbers were replaced while they were compared: ask again in a moment."
        )
    marks = [part.watermark for part in answers if part.watermark]
    shape = (query.compare, query.order_by, query.limit, query.ordered)
    return replace(
        answers[0], table=both.table, query=both.query, breaks=both.breaks, note=both.note,
        like_for_like=not any(change.in_series for change in both.breaks),
        key=repr((shape, [(part.state, part.key) for part in answers])), forms={},
        kept_as=("", None), watermark=min(marks, default=None), cached=False,
        complete_through={n: d for part in answers for n, d in part.complete_through.items()},
        cards={name: card for part in answers for name, card in part.cards.items()},
    )  # fmt: skip
