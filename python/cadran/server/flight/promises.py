"""Promises: what a caller may still ask for by a ticket or a handle, bounded in every way."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from cadran.errors import QueryError

if TYPE_CHECKING:
    from cadran.access.caller import Caller

_T = TypeVar("_T")
_NAME_BYTES = 18
_CALLERS = 1_000


class EndedError(QueryError):
    """A ticket or a handle that does not hold: never given to this caller, or at its end."""


@dataclass(slots=True)
class _Promise(Generic[_T]):
    value: _T
    shared: object  # what several promises may have in common, such as a table
    size: int
    ends: float


class _Room(Generic[_T]):
    """What one caller holds, the oldest first; what is held twice is weighed once."""

    def __init__(self) -> None:
        self.held: OrderedDict[bytes, _Promise[_T]] = OrderedDict()
        self.shares: Counter[int] = Counter()
        self.bytes = 0

    def put(self, name: bytes, entry: _Promise[_T]) -> None:
        self.held[name] = entry
        self.shares[id(entry.shared)] += 1
        if self.shares[id(entry.shared)] == 1:
            self.bytes += entry.size

    def drop(self, name: bytes) -> None:
        entry = self.held.pop(name, None)
        if entry is None:
            return
        self.shares[id(entry.shared)] -= 1
        if not self.shares[id(entry.shared)]:
            del self.shares[id(entry.shared)]
            self.bytes -= entry.size


class Promises(Generic[_T]):
    """A thread-safe store of promises of one kind, bounded in time, number and bytes."""

    def __init__(self, kind: str, *, seconds: float, most: int, most_bytes: int) -> None:
        """Keep nothing yet.

        Args:
            kind: what it is called in a sentence, such as `ticket`.
            seconds: after which a promise ends.
            most: promises of one caller; the oldest end first.
            most_bytes: of all rows promised to one caller, the newest promise apart.
        """
        self._kind, self._seconds = kind, seconds
        self._most, self._most_bytes = most, most_bytes
        self._lock = threading.Lock()
        self._rooms: OrderedDict[Caller, _Room[_T]] = OrderedDict()

    def give(self, caller: Caller, value: _T, shared: object = None, size: int = 0) -> bytes:
        """The name under which the caller may ask for this.

        Args:
            caller: who may ask.
            value: what is promised.
            shared: the part of it that other promises may hold too.
            size: bytes of that part.
        """
        name = secrets.token_bytes(_NAME_BYTES)
        now = time.monotonic()
        with self._lock:
            room = self._rooms.get(caller)
            if room is None:
                room = self._rooms[caller] = _Room()
                if len(self._rooms) > _CALLERS:
                    self._rooms.popitem(last=False)
            room.put(name, _Promise(value, shared, size, now + self._seconds))
            while len(room.held) > self._most or (
                room.bytes > self._most_bytes and len(room.held) > 1
            ):
                room.drop(next(iter(room.held)))
        return name

    def get(self, caller: Caller, name: bytes) -> _T:
        """What was promised under this name.

        Raises:
            EndedError: nothing was, to this caller, or it has ended.
        """
        with self._lock:
            room = self._rooms.get(caller)
            entry = room.held.get(name) if room else None
        if entry is None or entry.ends < time.monotonic():
            raise EndedError(
                f"There is no such {self._kind}, or it has ended: ask the question again."
            )
        return entry.value

    def drop(self, caller: Caller, name: bytes) -> None:
        """End a promise, if there is one."""
        with self._lock:
            room = self._rooms.get(caller)
            if room is not None:
                room.drop(name)

    def sweep(self) -> None:
        """Let go of what has ended."""
        now = time.monotonic()
        with self._lock:
            for caller, room in list(self._rooms.items()):
                while room.held and next(iter(room.held.values())).ends < now:
                    room.drop(next(iter(room.held)))
                if not room.held:
                    del self._rooms[caller]

    def __len__(self) -> int:
        with self._lock:
            return sum(len(room.held) for room in self._rooms.values())
