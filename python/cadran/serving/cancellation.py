"""Stopping what nobody waits for any more, or what takes too long."""

from __future__ import annotations

import heapq
import threading
import time
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_AGAIN = 0.05  # seconds between two interrupts of a statement that goes on


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
