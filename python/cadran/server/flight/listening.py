"""The gRPC server: an event loop in a thread, the calls of Flight by name, errors as statuses.

Handlers are generic: messages come and go as bytes, which `wire` reads and writes.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from cadran.server.flight.refusals import UnsupportedError, refusal
from cadran.server.flight.service import Service

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from cadran.access.caller import Caller
    from cadran.server.house import House

    Context = Any  # grpc.aio.ServicerContext, which has no types

_NAME = "/arrow.flight.protocol.FlightService/"
_MOST_REQUEST = 1_000_000  # bytes of a message from a client
_MOST_CALLS = 2_000
_OPTIONS = [
    ("grpc.so_reuseport", 0),  # a port that another server has is refused
    ("grpc.max_receive_message_length", _MOST_REQUEST),
    ("grpc.http2.bdp_probe", 0),
]


class Listening(grpc.GenericRpcHandler):  # type: ignore[misc]
    """One gRPC server."""

    def __init__(self, house: House) -> None:
        """Start it; when this returns it listens.

        Raises:
            OSError: the port is taken.
        """
        self._house = house
        self._service = service = Service(house)
        one, several = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        # An action has one result, so it is answered in one go; on the wire that is the same.
        self._methods = {
            "GetFlightInfo": one(self._single(service.get_flight_info)),
            "GetSchema": one(self._single(service.get_schema)),
            "DoAction": one(self._single(service.do_action)),
            "DoGet": several(self._streamed(service.do_get)),
            "ListActions": several(self._streamed(service.list_actions)),
            "ListFlights": several(self._streamed(service.list_flights)),
            "DoPut": grpc.stream_unary_rpc_method_handler(self._single(service.do_put)),
            "Handshake": grpc.stream_stream_rpc_method_handler(self._handshake),
            "DoExchange": grpc.stream_stream_rpc_method_handler(self._unsupported),
            "PollFlightInfo": one(self._unsupported),
        }
        self._handlers = {_NAME + name: method for name, method in self._methods.items()}
        self._loop = asyncio.new_event_loop()
        self._stopped = threading.Event()
        self._ended = asyncio.Event()
        self._server: grpc.aio.Server | None = None
        self._problem: BaseException | None = None
        self.port = 0
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="flight", daemon=True)
        self._thread.start()
        ready.wait()
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

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._listen())
        except BaseException as problem:  # noqa: BLE001 - raised where the server was started
            self._problem = problem
            ready.set()
            return
        ready.set()
        self._loop.run_until_complete(self._serve())
        self._loop.close()
        self._stopped.set()

    async def _listen(self) -> None:
        settings = self._house.settings
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
        return self._house.caller(_header(context, "authorization"))

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
