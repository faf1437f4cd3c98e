"""The gRPC server: an event loop in a thread, the calls of Flight by name, errors as statuses.

Handlers are generic: they take and give bytes, which `messages` reads and writes.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import grpc.aio

from cadran.errors import QueryError, UnauthenticatedError
from cadran.server.flight import metadata, rows, statements
from cadran.server.flight.messages import decoded, encoded, message, packed, unpacked
from cadran.server.flight.promises import EndedError, Promises
from cadran.server.flight.results import Answering
from cadran.server.flight.rows import UnsupportedError, refusal
from cadran.serving.execution import Cancellation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from cadran.access.caller import Caller
    from cadran.server.flight.rows import Rows
    from cadran.server.flight.statements import Statement
    from cadran.server.http import ServerContext

    Context = Any  # grpc.aio.ServicerContext, which has no types


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
class PreparedStatement:
    """A prepared statement; `first` is the ticket of the answer it was prepared with."""

    statement: Statement
    schema: bytes
    first: bytes | None


class FlightService:
    """The calls of Flight, in bytes; each raises what `refusals` turns into a status."""

    def __init__(self, server_context: ServerContext) -> None:
        """Serve what a server answers."""
        self._server_context = server_context
        self._answering = Answering(server_context.service, seconds=server_context.settings.seconds)
        self._tickets: Promises[Rows] = Promises(
            "ticket", seconds=_TICKET_SECONDS, most=_MOST_TICKETS, most_bytes=_MOST_BYTES
        )
        self._prepared: Promises[PreparedStatement] = Promises(
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
        name, command, descriptor = _command(request)
        if name == "CommandPreparedStatementQuery":
            return await self._execute(caller, command, descriptor)
        rows = await self._rows_of(caller, name, command)
        return _info(rows, self._ticket(caller, rows), descriptor)

    async def get_schema(self, caller: Caller, request: bytes) -> bytes:
        """The schema that the rows of a command have."""
        name, command, _ = _command(request)
        if name == "CommandPreparedStatementQuery":
            schema = self._prepared.get(caller, command.prepared_statement_handle).schema
        else:
            schema = (await self._rows_of(caller, name, command)).schema
        return encoded("SchemaResult", schema=schema)

    def do_get(self, caller: Caller, request: bytes) -> Iterator[bytes]:
        """The rows of a ticket, message by message."""
        return self._tickets.get(caller, decoded("Ticket", request).ticket).sent()

    async def do_action(self, caller: Caller, request: bytes) -> bytes:
        """The one result of an action."""
        action = decoded("Action", request)
        kind = action.type
        if kind == "CreatePreparedStatement":
            created = await self._prepare(caller, _request(kind, action.body))
            return encoded("Result", body=created)
        if kind == "ClosePreparedStatement":
            handle = _request(kind, action.body).prepared_statement_handle
            self._prepared.drop(caller, handle)
            return b""
        if kind == "CancelFlightInfo":
            self._cancel(caller, decoded("CancelFlightInfoRequest", action.body).info)
            status = encoded("CancelFlightInfoResult", status=_CANCELLED)
            return encoded("Result", body=status)
        if kind == "CancelQuery":
            self._cancel(caller, decoded("FlightInfo", _request(kind, action.body).info))
            return encoded("Result", body=packed("ActionCancelQueryResult", result=_CANCELLED))
        if kind == "CloseSession":
            return encoded("Result", body=encoded("CloseSessionResult", status=_CLOSED))
        raise UnsupportedError(
            f"The action {kind[:80]!r} is not offered; these are: {', '.join(_ACTIONS)}. {_READS}"
        )

    def list_actions(self, caller: Caller, request: bytes) -> Iterator[bytes]:  # noqa: ARG002
        """The actions that are offered."""
        for name, description in _ACTIONS.items():
            yield encoded("ActionType", type=name, description=description)

    def list_flights(self, caller: Caller, request: bytes) -> Iterator[bytes]:  # noqa: ARG002
        """No flights: tables are found by their catalogue."""
        return iter(())

    async def do_put(self, caller: Caller, request: AsyncIterator[bytes]) -> bytes:  # noqa: ARG002
        """Refused: nothing is written here."""
        async for first in request:
            data = decoded("FlightData", first)
            named = data.HasField("flight_descriptor") and _named(data.flight_descriptor)[0]
            if named == "CommandPreparedStatementQuery":
                raise QueryError("A statement takes no parameters here: write its values into it.")
            break
        raise UnsupportedError(_READS)

    def bearer(self, authorization: str | None) -> str:
        """The bearer of one who logs in with a name and, as the password, a token.

        Raises:
            UnauthenticatedError: nobody known does.
        """
        kind, _, token = (authorization or "").partition(" ")
        bearer = token
        if kind.lower() == "basic":
            try:
                padded = f"{token}{'=' * (-len(token) % 4)}"  # drivers leave the padding out
                bearer = base64.b64decode(padded, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                raise UnauthenticatedError("The login cannot be read.") from None
        self._server_context.caller(f"Bearer {bearer}")
        return bearer

    async def _prepare(self, caller: Caller, request: Any) -> bytes:
        if request.transaction_id:
            raise UnsupportedError(_READS)
        statement = statements.parse(request.query)
        rows = await self._answered(caller, statement)
        ticket = self._ticket(caller, rows)
        handle = self._prepared.give(caller, PreparedStatement(statement, rows.schema, ticket))
        return packed(
            "ActionCreatePreparedStatementResult",
            prepared_statement_handle=handle,
            dataset_schema=rows.schema,
        )

    async def _execute(self, caller: Caller, command: Any, descriptor: Any) -> bytes:
        prepared = self._prepared.get(caller, command.prepared_statement_handle)
        ticket, prepared.first = prepared.first, None
        if ticket is not None:
            try:
                return _info(self._tickets.get(caller, ticket), ticket, descriptor)
            except EndedError:
                pass  # prepared too long ago: asked again
        rows = await self._answered(caller, prepared.statement)
        return _info(rows, self._ticket(caller, rows), descriptor)

    def _cancel(self, caller: Caller, info: Any) -> None:
        for endpoint in info.endpoint:
            self._tickets.drop(caller, endpoint.ticket.ticket)

    async def _rows_of(self, caller: Caller, name: str, command: Any) -> Rows:
        if name == "CommandStatementQuery":
            if command.transaction_id:
                raise UnsupportedError(_READS)
            return await self._answered(caller, statements.parse(command.query))
        info_codes = tuple(command.info) if name == "CommandGetSqlInfo" else None
        if info_codes in self._infos:
            return self._infos[info_codes]

        def work(stop: Cancellation) -> Rows | None:
            table = metadata.rows_of(name, command, caller, self._answering, stop)
            return rows.of_table(table) if table is not None else None

        response = await self._worked(work)
        if response is None:
            raise UnsupportedError(f"The command {name[:80]!r} is not offered. {_READS}")
        if info_codes is not None and len(self._infos) < _MOST_INFOS:
            self._infos[info_codes] = response  # every connection asks it
        return response

    async def _answered(self, caller: Caller, statement: Statement) -> Rows:
        cached = self._answering.cached(caller, statement)
        if cached is not None:
            return cached
        return await self._worked(lambda stop: self._answering.rows(caller, statement, stop))

    async def _worked(self, work: Callable[[Cancellation], _T]) -> _T:
        stop = Cancellation()
        try:
            return await self._server_context.run(work, stop)
        except asyncio.CancelledError:
            stop.set()  # the client is gone
            raise

    def _ticket(self, caller: Caller, rows: Rows) -> bytes:
        return self._tickets.give(caller, rows, rows.table, rows.size)


def _command(request: bytes) -> tuple[str, Any, Any]:
    """The name of a command, the command, and the descriptor that it came in."""
    descriptor = decoded("FlightDescriptor", request)
    return *_named(descriptor), descriptor


def _named(descriptor: Any) -> tuple[str, Any]:
    if descriptor.type != _BY_COMMAND or not descriptor.HasField("cmd"):
        raise QueryError("A flight is asked for by a command of Flight SQL, not by a path.")
    return unpacked(descriptor.cmd)


def _request(action: str, body: bytes) -> Any:
    name, request = unpacked(body)
    if name != f"Action{action}Request":
        raise QueryError(f"The action {action} takes a message Action{action}Request.")
    return request


def _info(rows: Rows, ticket: bytes, descriptor: Any) -> bytes:
    endpoint = message(
        "FlightEndpoint",
        ticket=message("Ticket", ticket=ticket),
        expiration_time=message("Timestamp", seconds=int(time.time()) + _TICKET_SECONDS),
    )
    return encoded(
        "FlightInfo", schema=rows.schema, flight_descriptor=descriptor, endpoint=[endpoint],
        total_records=rows.count, total_bytes=rows.size,
    )  # fmt: skip


_NAME = "/arrow.flight.protocol.FlightService/"
_MOST_REQUEST = 1_000_000  # bytes of a message from a client
_MOST_CALLS = 2_000
_MOST_HEADERS = 65_536  # bytes of the headers of a call
_GREETING = 20.0  # seconds in which a connection has to begin to speak
_IDLE = 600.0  # seconds after which a connection without a call is closed; clients come back
_OPTIONS = [
    ("grpc.so_reuseport", 0),  # a port that another server has is refused
    ("grpc.max_receive_message_length", _MOST_REQUEST),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.max_metadata_size", _MOST_HEADERS),
    ("grpc.absolute_max_metadata_size", _MOST_HEADERS),
    ("grpc.server_handshake_timeout_ms", int(_GREETING * 1000)),
    ("grpc.max_connection_idle_ms", int(_IDLE * 1000)),
]


class Listening(grpc.GenericRpcHandler):  # type: ignore[misc]
    """One gRPC server."""

    def __init__(self, server_context: ServerContext) -> None:
        """Start it; when this returns it listens.

        Raises:
            OSError: the port is taken.
        """
        self._server_context = server_context
        self._service = service = FlightService(server_context)
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        # An action has one result, so it is answered in one go; on the wire that is the same.
        self._methods = {
            "GetFlightInfo": unary(self._single(service.get_flight_info)),
            "GetSchema": unary(self._single(service.get_schema)),
            "DoAction": unary(self._single(service.do_action)),
            "DoGet": stream(self._streamed(service.do_get)),
            "ListActions": stream(self._streamed(service.list_actions)),
            "ListFlights": stream(self._streamed(service.list_flights)),
            "DoPut": grpc.stream_unary_rpc_method_handler(self._single(service.do_put)),
            "Handshake": grpc.stream_stream_rpc_method_handler(self._handshake),
            "DoExchange": grpc.stream_stream_rpc_method_handler(self._unsupported),
            "PollFlightInfo": unary(self._unsupported),
        }
        self._handlers = {_NAME + name: method for name, method in self._methods.items()}
        self._loop = asyncio.new_event_loop()
        self._stopped = threading.Event()
        self._ended = asyncio.Event()
        self._server: grpc.aio.Server | None = None
        self._problem: BaseException | None = None
        self.port = 0
        started = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(started,), name="flight", daemon=True
        )
        self._thread.start()
        started.wait()
        if self._problem is not None:
            raise self._problem

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """The method of a call; None for one that there is not."""
        return self._handlers.get(details.method)

    def stop(self, grace: float | None) -> threading.Event:
        """Take no more calls, and end those in flight after so many seconds; set when ended."""
        if not self._stopped.is_set():
            asyncio.run_coroutine_threadsafe(self._end(grace), self._loop)
        return self._stopped

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._listen())
        except BaseException as problem:  # noqa: BLE001 - raised where the server was started
            self._problem = problem
            started.set()
            return
        started.set()
        self._loop.run_until_complete(self._serve())
        self._loop.close()
        self._stopped.set()

    async def _listen(self) -> None:
        settings = self._server_context.settings
        self._server = grpc.aio.server(
            handlers=(self,), options=_OPTIONS, maximum_concurrent_rpcs=_MOST_CALLS
        )
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"{host}:{settings.flight_port}"
        try:
            if settings.tls is None:
                self.port = self._server.add_insecure_port(address)
            else:
                certificate, key = (path.read_bytes() for path in settings.tls)
                credentials = grpc.ssl_server_credentials([(key, certificate)])
                self.port = self._server.add_secure_port(address, credentials)
        except RuntimeError:
            raise OSError(f"Flight SQL cannot listen on {address}: is the port taken?") from None
        await self._server.start()

    async def _serve(self) -> None:
        sweeping = asyncio.ensure_future(self._service.sweep())
        await self._ended.wait()
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)

    async def _end(self, grace: float | None) -> None:
        if self._server is not None:
            await self._server.stop(grace)
        self._ended.set()

    def _caller(self, context: Context) -> Caller:
        return self._server_context.caller(_header(context, "authorization"))

    def _single(
        self, call: Callable[[Caller, Any], Awaitable[bytes]]
    ) -> Callable[[Any, Context], Awaitable[bytes]]:
        async def handle(request: Any, context: Context) -> bytes:
            try:
                return await call(self._caller(context), request)
            except Exception as problem:  # noqa: BLE001 - a client is told what `refusal` says
                error = problem
            await _refuse(context, error)
            return b""

        return handle

    def _streamed(
        self, call: Callable[[Caller, Any], Iterator[bytes]]
    ) -> Callable[[Any, Context], Awaitable[None]]:
        async def handle(request: Any, context: Context) -> None:
            error = None
            try:
                for message in call(self._caller(context), request):
                    # It waits until there is room, so no more than one message is held.
                    await context.write(message)
            except Exception as problem:  # noqa: BLE001 - a client is told what `refusal` says
                error = problem
            if error is not None:
                await _refuse(context, error)

        return handle

    async def _handshake(self, requests: Any, context: Context) -> None:  # noqa: ARG002
        try:
            bearer = self._service.bearer(_header(context, "authorization"))
        except Exception as problem:  # noqa: BLE001 - a client is told what `refusal` says
            error = problem
        else:
            await context.send_initial_metadata((("authorization", f"Bearer {bearer}"),))
            await context.write(b"")
            return
        await _refuse(context, error)

    async def _unsupported(self, request: Any, context: Context) -> None:  # noqa: ARG002
        await _refuse(context, UnsupportedError("This call of Flight is not offered here."))


async def _refuse(context: Context, error: Exception) -> None:
    if not context.done():  # else the client is gone, and that is the error
        await context.abort(*refusal(error))


def _header(context: Context, name: str) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == name:
            return value if isinstance(value, str) else value.decode(errors="replace")
    return None
