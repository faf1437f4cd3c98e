"""Protobuf, as much of it as Flight SQL needs: varints and length-delimited fields.

A message is read into its fields by number and written from them, so no generated code is needed.
Every function that reads raises `WireError` for bytes that are no message of the protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cadran.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator

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
