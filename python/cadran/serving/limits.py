"""How a question ends that nobody waits for, or that takes too much: stops, time, rows, bytes."""

from __future__ import annotations

import heapq
import threading
import time
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from cadran.errors import LimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.access.caller import Caller
    from cadran.access.gate import Allowed
    from cadran.serving.response import Answer

_AGAIN = 0.05  # seconds between two interrupts of a statement that goes on
MEGABYTE = 1_000_000


class Stop:
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


class Clock:
    """Calls what is due: one thread for all, started by the first."""

    def __init__(self) -> None:
        """Begin without a thread."""
        self._ready = threading.Condition()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()
        self._thread: threading.Thread | None = None

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call this after so many seconds; it must not wait for anything."""
        with self._ready:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._number), call))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="clock", daemon=True)
                self._thread.start()
            self._ready.notify()

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._due:
                    self._ready.wait()
                wait = self._due[0][0] - time.monotonic()
                if wait > 0:
                    self._ready.wait(wait)
                    continue
                call = heapq.heappop(self._due)[2]
            call()


class Interrupting:
    """Interrupts the statement of a thread from when a stop is set until the block ends.

    An interrupt that comes before a statement begins is lost, so it is given again and again.
    """

    def __init__(self, stop: Stop, interrupt: Callable[[], None], clock: Clock) -> None:
        """Take what interrupts, and the clock that gives it again."""
        self._stop, self._interrupt, self._clock = stop, interrupt, clock
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
        self._clock.after(_AGAIN, self._again)


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
    check(answer, caller)
    if answer.key == repr(allowed):
        return answer
    query = replace(answer.query, limit=allowed.query.limit)
    kept_as = answer.state, allowed
    return replace(answer, query=query, key=repr(allowed), kept_as=kept_as)


def check(answer: Answer, caller: Caller) -> None:
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
