"""Answers that are kept: bounded in bytes, the longest unused leave first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING

from cadran.errors import StoppedError
from cadran.serving.limits import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from cadran.access.gate import Allowed
    from cadran.serving.response import Answer


_SHARE = 4  # an answer larger than this part of the whole is not kept: it would push all out


class Cache:
    """A thread-safe store of answers. The state of the data is part of each key.

    So nothing in it is ever stale: a new state asks under new keys, and `forget` frees the room
    of the old ones.
    """

    def __init__(self, most_bytes: int) -> None:
        """Keep at most so many bytes; 0 keeps nothing."""
        self._most = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Answer, int]] = OrderedDict()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    def get(self, key: Hashable) -> Answer | None:
        """The answer under a key."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                self.misses += 1
                return None
            self.hits += 1
            self._kept.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, answer: Answer) -> None:
        """Keep an answer, or weigh it again after a form was added to it."""
        size = answer.size
        with self._lock:
            before = self._kept.pop(key, None)
            if before is not None:
                self.bytes -= before[1]
            if size * _SHARE > self._most:
                return
            self._kept[key] = answer, size
            self.bytes += size
            while self.bytes > self._most:
                self.bytes -= self._kept.popitem(last=False)[1][1]

    def forget(self, state: str) -> None:
        """Free what is not of this state."""
        with self._lock:
            for key in [key for key, (kept, _) in self._kept.items() if kept.state != state]:
                self.bytes -= self._kept.pop(key)[1]

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)


class _Flight:
    """One run, and how many wait for it."""

    def __init__(self) -> None:
        self.future: Future[Answer] = Future()
        self.stop = Stop()
        self.waiting = 0


class SingleFlight:
    """Runs a question once for all who ask it at the same time."""

    def __init__(self) -> None:
        """Nothing is in flight."""
        self._lock = threading.Lock()
        self._flying: dict[Hashable, _Flight] = {}

    def run(self, key: Hashable, work: Callable[[Stop], Answer], stop: Stop) -> Answer:
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

    def _lead(self, key: Hashable, flight: _Flight, work: Callable[[Stop], Answer]) -> None:
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


class AuthorizationCache:
    """What was allowed to whom; the longest unused leaves first. Thread-safe."""

    def __init__(self, most: int) -> None:
        """Remember at most so many."""
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Allowed] = OrderedDict()

    def get(self, key: Hashable) -> Allowed | None:
        """What was allowed; None where nobody asked so yet, or it was refused."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: Hashable, allowed: Allowed) -> None:
        """Remember what was allowed."""
        with self._lock:
            self._kept[key] = allowed
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._kept.clear()
