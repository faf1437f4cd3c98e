"""Protobuf, as much of it as Flight SQL needs: varints and length-delimited fields.

A message is read into its fields by number and written from them, so no generated code is needed.
Every function that reads raises `WireError` for bytes that are no message of the protocol.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from cadran.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.access.caller import Caller


_VARINT, _I64, _BYTES, _I32 = 0, 1, 2, 5
_SIZES = {_I64: 8, _I32: 4}
_MOST_BITS = 63
_HIGH, _LOW = 0x80, 0x7F
_SQL: Final = b"type.googleapis.com/arrow.flight.protocol.sql."
_ANY: Final = b"type.googleapis.com/arrow.flight.protocol."

Message = dict[int, list["bytes | int"]]


class WireError(QueryError):
    """Bytes that are no message of the protocol."""


def read(data: bytes) -> Message:
    """The fields of a message by number, in the order in which they stand."""
    fields: Message = {}
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        value: bytes | int
        if kind == _VARINT:
            value, at = _varint(data, at)
        elif kind == _BYTES or kind in _SIZES:
            size, at = _varint(data, at) if kind == _BYTES else (_SIZES[kind], at)
            value, at = data[at : at + size], at + size
        else:
            raise _broken(f"field {number} has the unknown kind {kind}")
        if at > end or not number:
            raise _broken("it ends within a field" if number else "a field has the number 0")
        fields.setdefault(number, []).append(value)
    return fields


def raw(message: Message, number: int) -> bytes | None:
    """A field of bytes or a message; None when it is not there."""
    values = message.get(number)
    if not values:
        return None
    if not isinstance(values[-1], bytes):
        raise _broken(f"field {number} is a number")
    return values[-1]


def text(message: Message, number: int) -> str | None:
    """A text field; None when it is not there."""
    value = raw(message, number)
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        raise _broken(f"field {number} is no UTF-8 text") from None


def texts(message: Message, number: int) -> list[str]:
    """A repeated text field."""
    return [text({number: [value]}, number) or "" for value in message.get(number, ())]


def flag(message: Message, number: int) -> bool:
    """A boolean field."""
    values = message.get(number)
    return bool(values and values[-1])


def numbers(message: Message, number: int) -> Iterator[int]:
    """A repeated whole number, packed or not."""
    for value in message.get(number, ()):
        if isinstance(value, int):
            yield value
            continue
        at = 0
        while at < len(value):
            one, at = _varint(value, at)
            yield one


def unpacked(data: bytes) -> tuple[str, Message]:
    """The name and the fields of a message within `google.protobuf.Any`."""
    wrapped = read(data)
    kind = raw(wrapped, 1) or b""
    if not kind.startswith(_ANY):
        raise _broken("it does not say which command of Flight SQL it is")
    return kind.rpartition(b".")[2].decode(errors="replace"), read(raw(wrapped, 2) or b"")


def packed(name: str, data: bytes) -> bytes:
    """A message within `google.protobuf.Any`."""
    return field(1, _SQL + name.encode()) + field(2, data)


def field(number: int, data: bytes) -> bytes:
    """A field of bytes, text or a message."""
    return varint(number << 3 | _BYTES) + varint(len(data)) + data


def count(number: int, value: int) -> bytes:
    """A field that holds a whole number from 0 up."""
    return varint(number << 3 | _VARINT) + varint(value)


def varint(value: int) -> bytes:
    """A whole number from 0 up, seven bits a byte."""
    out = bytearray()
    while value > _LOW:
        out.append(value & _LOW | _HIGH)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift <= _MOST_BITS:
        byte = data[at]
        at += 1
        value |= (byte & _LOW) << shift
        if byte < _HIGH:
            return value, at
        shift += 7
    raise _broken("a number in it does not end")


def _broken(how: str) -> WireError:
    return WireError(f"The message cannot be read: {how}.")


_T = TypeVar("_T")
_NAME_BYTES = 18
_CALLERS = 1_000


class GoneError(QueryError):
    """A ticket or a handle that does not hold: never given to this caller, or at its end."""


@dataclass(slots=True)
class _Held(Generic[_T]):
    what: _T
    shared: object  # what several promises may have in common, such as a table
    size: int
    ends: float


class _Room(Generic[_T]):
    """What one caller holds, the oldest first; what is held twice is weighed once."""

    def __init__(self) -> None:
        self.held: OrderedDict[bytes, _Held[_T]] = OrderedDict()
        self.shares: Counter[int] = Counter()
        self.bytes = 0

    def put(self, name: bytes, held: _Held[_T]) -> None:
        self.held[name] = held
        self.shares[id(held.shared)] += 1
        if self.shares[id(held.shared)] == 1:
            self.bytes += held.size

    def drop(self, name: bytes) -> None:
        held = self.held.pop(name, None)
        if held is None:
            return
        self.shares[id(held.shared)] -= 1
        if not self.shares[id(held.shared)]:
            del self.shares[id(held.shared)]
            self.bytes -= held.size


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

    def give(self, caller: Caller, what: _T, shared: object = None, size: int = 0) -> bytes:
        """The name under which the caller may ask for this.

        Args:
            caller: who may ask.
            what: what is promised.
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
            room.put(name, _Held(what, shared, size, now + self._seconds))
            while len(room.held) > self._most or (
                room.bytes > self._most_bytes and len(room.held) > 1
            ):
                room.drop(next(iter(room.held)))
        return name

    def get(self, caller: Caller, name: bytes) -> _T:
        """What was promised under this name.

        Raises:
            GoneError: nothing was, to this caller, or it has ended.
        """
        with self._lock:
            room = self._rooms.get(caller)
            held = room.held.get(name) if room else None
        if held is None or held.ends < time.monotonic():
            raise GoneError(
                f"There is no such {self._kind}, or it has ended: ask the question again."
            )
        return held.what

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
