"""Identical questions in flight run once: who comes second waits for the first."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING

from cadran.errors import StoppedError
from cadran.serving.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from cadran.serving.answer import Answer


class _Flight:
    """One run, and how many wait for it."""

    def __init__(self) -> None:
        self.future: Future[Answer] = Future()
        self.stop = Stop()
        self.waiting = 0


class Flights:
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
