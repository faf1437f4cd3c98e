"""Arrow Flight SQL over gRPC, as far as a reader needs it.

A question is answered when it is prepared, or when its FlightInfo is asked for, so that what is
wrong with it is said there; a ticket then names rows that are ready. What is kept is answered on
the event loop; everything else in the worker threads that all protocols share.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cadran.errors import QueryError, UnauthenticatedError
from cadran.server.flight import catalog, rows, statement, wire
from cadran.server.flight.answering import Answering
from cadran.server.flight.refusals import UnsupportedError
from cadran.server.flight.tickets import GoneError, Promises
from cadran.serving.stop import Stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from cadran.access.caller import Caller
    from cadran.server.flight.rows import Rows
    from cadran.server.flight.statement import Statement
    from cadran.server.house import House

_T = TypeVar("_T")
_TICKET_SECONDS = 120
_PREPARED_SECONDS = 3600
_MOST_TICKETS = 10_000
_MOST_PREPARED = 2_000
_MOST_BYTES = 512_000_000
_MOST_INFOS = 64
_SWEEP_SECONDS = 10
_BY_COMMAND = 2
_CANCELLED = _CLOSED = 1
_ACTIONS = {
    "CreatePreparedStatement": "Read a statement and answer it.",
    "ClosePreparedStatement": "Let go of a prepared statement.",
    "CancelFlightInfo": "Let go of an answer.",
    "CloseSession": "End a session; the server keeps none.",
}
_READS = "This server only reads: it takes questions, and no rows, updates or transactions."


@dataclass(slots=True)
class Prepared:
    """A prepared statement; `first` is the ticket of the answer it was prepared with."""

    statement: Statement
    schema: bytes
    first: bytes | None


class Service:
    """The calls of Flight, in bytes; each raises what `refusals` turns into a status."""

    def __init__(self, house: House) -> None:
        """Serve the desk of a house."""
        self._house = house
        self._answering = Answering(house.desk, seconds=house.settings.seconds)
        self._tickets: Promises[Rows] = Promises(
            "ticket", seconds=_TICKET_SECONDS, most=_MOST_TICKETS, most_bytes=_MOST_BYTES
        )
        self._prepared: Promises[Prepared] = Promises(
            "prepared statement", seconds=_PREPARED_SECONDS, most=_MOST_PREPARED, most_bytes=0
        )
        self._infos: dict[tuple[int, ...] | None, Rows] = {}

    async def sweep(self) -> None:
        """Let go of what has ended, from time to time, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self._tickets.sweep()
            self._prepared.sweep()

    async def get_flight_info(self, caller: Caller, request: bytes) -> bytes:
        """FlightInfo of a command: the schema, and a ticket for the rows."""
        command, asked = _command(request)
        if command == "CommandPreparedStatementQuery":
            return await self._execute(caller, asked, request)
        ready = await self._rows_of(caller, command, asked)
        return _info(ready, self._ticket(caller, ready), request)

    async def get_schema(self, caller: Caller, request: bytes) -> bytes:
        """The schema that the rows of a command have."""
        command, asked = _command(request)
        if command == "CommandPreparedStatementQuery":
            return wire.field(1, self._prepared.get(caller, wire.raw(asked, 1) or b"").schema)
        return wire.field(1, (await self._rows_of(caller, command, asked)).schema)

    def do_get(self, caller: Caller, request: bytes) -> Iterator[bytes]:
        """The rows of a ticket, message by message."""
        return self._tickets.get(caller, wire.raw(wire.read(request), 1) or b"").sent()

    async def do_action(self, caller: Caller, request: bytes) -> bytes:
        """The one result of an action."""
        action = wire.read(request)
        kind, body = wire.text(action, 1) or "", wire.raw(action, 2) or b""
        if kind == "CreatePreparedStatement":
            return wire.field(1, await self._prepare(caller, wire.unpacked(body)[1]))
        if kind == "ClosePreparedStatement":
            self._close(caller, wire.raw(wire.unpacked(body)[1], 1) or b"")
            return b""
        if kind in ("CancelFlightInfo", "CancelQuery"):
            asked = wire.read(body) if kind == "CancelFlightInfo" else wire.unpacked(body)[1]
            self._cancel(caller, wire.raw(asked, 1) or b"")
            told = wire.count(1, _CANCELLED)
            return wire.field(
                1,
                told
                if kind == "CancelFlightInfo"
                else wire.packed("ActionCancelQueryResult", told),
            )
        if kind == "CloseSession":
            return wire.field(1, wire.count(1, _CLOSED))
        raise UnsupportedError(
            f"The action {kind[:80]!r} is not offered; these are: {', '.join(_ACTIONS)}. {_READS}"
        )

    def list_actions(self, caller: Caller, request: bytes) -> Iterator[bytes]:  # noqa: ARG002
        """The actions that are offered."""
        for name, told in _ACTIONS.items():
            yield wire.field(1, name.encode()) + wire.field(2, told.encode())

    def list_flights(self, caller: Caller, request: bytes) -> Iterator[bytes]:  # noqa: ARG002
        """No flights: tables are found by their catalogue."""
        return iter(())

    async def do_put(self, caller: Caller, request: AsyncIterator[bytes]) -> bytes:  # noqa: ARG002
        """Refused: nothing is written here."""
        async for message in request:
            descriptor = wire.raw(wire.read(message), 1)
            if descriptor and _command(descriptor)[0] == "CommandPreparedStatementQuery":
                raise QueryError("A statement takes no parameters here: write its values into it.")
            break
        raise UnsupportedError(_READS)

    def bearer(self, authorization: str | None) -> str:
        """The bearer of one who logs in with a name and, as the password, a token.

        Raises:
            UnauthenticatedError: nobody known does.
        """
        kind, _, given = (authorization or "").partition(" ")
        bearer = given
        if kind.lower() == "basic":
            try:
                bearer = base64.b64decode(given, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                raise UnauthenticatedError("The login cannot be read.") from None
        self._house.caller(f"Bearer {bearer}")
        return bearer

    async def _prepare(self, caller: Caller, asked: wire.Message) -> bytes:
        if wire.raw(asked, 2):
            raise UnsupportedError(_READS)
        read = statement.parse(wire.text(asked, 1) or "")
        ready = await self._answered(caller, read)
        ticket = self._ticket(caller, ready)
        handle = self._prepared.give(caller, Prepared(read, ready.schema, ticket))
        result = wire.field(1, handle) + wire.field(2, ready.schema)
        return wire.packed("ActionCreatePreparedStatementResult", result)

    async def _execute(self, caller: Caller, asked: wire.Message, request: bytes) -> bytes:
        prepared = self._prepared.get(caller, wire.raw(asked, 1) or b"")
        ticket, prepared.first = prepared.first, None
        if ticket is not None:
            try:
                return _info(self._tickets.get(caller, ticket), ticket, request)
            except GoneError:
                pass  # prepared too long ago: asked again
        ready = await self._answered(caller, prepared.statement)
        return _info(ready, self._ticket(caller, ready), request)

    def _close(self, caller: Caller, handle: bytes) -> None:
        self._prepared.drop(caller, handle)

    def _cancel(self, caller: Caller, info: bytes) -> None:
        for endpoint in wire.read(info).get(3, ()):
            if isinstance(endpoint, bytes):
                ticket = wire.raw(wire.read(endpoint), 1) or b""
                self._tickets.drop(caller, wire.raw(wire.read(ticket), 1) or b"")

    async def _rows_of(self, caller: Caller, command: str, asked: wire.Message) -> Rows:
        if command == "CommandStatementQuery":
            if wire.raw(asked, 2):
                raise UnsupportedError(_READS)
            return await self._answered(caller, statement.parse(wire.text(asked, 1) or ""))
        known = tuple(wire.numbers(asked, 1)) if command == "CommandGetSqlInfo" else None
        if known in self._infos:
            return self._infos[known]

        def work(stop: Stop) -> Rows | None:
            table = catalog.table(command, asked, caller, self._answering, stop)
            return rows.of_table(table) if table is not None else None

        ready = await self._worked(work)
        if ready is None:
            raise UnsupportedError(f"The command {command[:80]!r} is not offered. {_READS}")
        if known is not None and len(self._infos) < _MOST_INFOS:
            self._infos[known] = ready  # every connection asks it
        return ready

    async def _answered(self, caller: Caller, read: Statement) -> Rows:
        kept = self._answering.kept(caller, read)
        if kept is not None:
            return kept
        return await self._worked(lambda stop: self._answering.rows(caller, read, stop))

    async def _worked(self, work: Callable[[Stop], _T]) -> _T:
        stop = Stop()
        try:
            return await self._house.run(work, stop)
        except asyncio.CancelledError:
            stop.set()  # the client is gone
            raise

    def _ticket(self, caller: Caller, ready: Rows) -> bytes:
        return self._tickets.give(caller, ready, ready.table, ready.size)


def _command(descriptor: bytes) -> tuple[str, wire.Message]:
    fields = wire.read(descriptor)
    command = wire.raw(fields, 2)
    if fields.get(1) != [_BY_COMMAND] or command is None:
        raise QueryError("A flight is asked for by a command of Flight SQL, not by a path.")
    return wire.unpacked(command)


def _info(ready: Rows, ticket: bytes, descriptor: bytes) -> bytes:
    ends = wire.count(1, int(time.time()) + _TICKET_SECONDS)
    endpoint = wire.field(1, wire.field(1, ticket)) + wire.field(3, ends)
    return b"".join((
        wire.field(1, ready.schema), wire.field(2, descriptor), wire.field(3, endpoint),
        wire.count(4, ready.count), wire.count(5, ready.size),
    ))  # fmt: skip
