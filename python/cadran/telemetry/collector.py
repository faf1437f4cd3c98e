"""The collector: a process of its own that takes telemetry over HTTP, from logs and by checks.

    POST /v1/traces, /v1/metrics, /v1/logs    OTLP, as protobuf or JSON, plain or gzip
    POST /api/v1/write                        Prometheus remote-write 1.0
    POST /v1/events                           incidents, deployments, uptime results
    GET  /health/live, /health/ready, /v1/status

A body is read before it is written down, so that one that cannot be read is refused for good (400);
what cannot be taken now is to be sent again (429, 503, with Retry-After).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import json
import logging
import math
import signal
import time
import zlib
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cadran.access import exposure
from cadran.access.authentication import Bearers
from cadran.access.caller import Meter
from cadran.access.connections import Connection
from cadran.errors import LimitError, UnauthenticatedError
from cadran.telemetry import uptime
from cadran.telemetry.landing import FullError, Landing, Record
from cadran.telemetry.records import Rules, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from cadran.telemetry.records import Batch
    from cadran.telemetry.settings import Settings

_LOG = logging.getLogger("cadran.collect")
SCOPE = "collect"
# What a record is, and how it is packed, as numbers of the write-ahead segments: never renumbered.
TRACES, METRICS, LOGS, REMOTE_WRITE, EVENTS, LINES = range(1, 7)
_OTLP = {"traces": TRACES, "metrics": METRICS, "logs": LOGS}
_NAMES = {number: name for name, number in _OTLP.items()}
_READERS = {REMOTE_WRITE: "remote_write", EVENTS: "events", LINES: "log_tail"}
_JSON, _GZIP, _SNAPPY = 1, 2, 4
_PROTOBUF_TYPE, _JSON_TYPE = "application/x-protobuf", "application/json"
_ANY = 1 << 40  # bytes
_LARGE = 256_000  # bytes of a body that is read beside the event loop
_AT_ONCE = 2  # of such bodies
_SECONDS = 30  # in which a body has to come
_SLACK = 5.0  # seconds more until a connection is closed: the body is refused in OTLP before
_GRACE = 5
_KEEP_ALIVE = 75  # seconds: exporters send once a minute over one connection
_WAIT = {"Retry-After": "5"}
# Of google.rpc.Code, which OTLP wants in what it answers.
_CODES = {400: 3, 401: 16, 403: 7, 408: 4, 413: 3, 415: 3, 421: 3, 429: 8, 503: 14}


class _Refused(Exception):  # noqa: N818 - an answer
    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        self.status, self.sentence, self.headers = status, sentence, headers or {}
        super().__init__(sentence)


_REFUSALS = (
    _Refused, UnauthenticatedError, UnreadableError, OverflowError, LimitError, FullError,
)  # fmt: skip


class Collector:
    """Receives, and lands what it received."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings and open the folder.

        Raises:
            ProjectError: others than this machine could send in clear or without a token, or
                another collector writes to the folder.
            PolicyError: the file of tokens cannot be read.
        """
        self.settings = settings
        self._bearers = Bearers(settings.tokens)
        exposure.refuse(
            settings.host, is_open=self._bearers.open, has_tls=settings.tls is not None,
            insecure=settings.insecure, act="send",
        )  # fmt: skip
        self._names = frozenset(
            name.lower()
            for name in ("127.0.0.1", "localhost", "[::1]", settings.host, *settings.hosts)
        )
        self._meter = Meter()
        self._rules = Rules(settings)
        self.landing = Landing(settings, self._decode, time.time_ns)
        self.landing.open()
        self._bodies = self._held = 0
        self._large = asyncio.Semaphore(_AT_ONCE)
        self._compaction = asyncio.Lock()
        self.failed: BaseException | None = None

    def app(self, on_failure: Callable[[], None] = lambda: None) -> Starlette:
        """The HTTP application; it runs what lands, follows and checks as long as it lives."""
        routes = [
            Route(f"/v1/{name}", self._route(kind), methods=["POST"])
            for name, kind in (*_OTLP.items(), ("events", EVENTS))
        ]
        routes += [
            Route("/api/v1/write", self._route(REMOTE_WRITE), methods=["POST"]),
            Route("/health/live", self._live),
            Route("/health/ready", self._ready),
            Route("/v1/status", self._status),
        ]

        @contextlib.asynccontextmanager
        async def lifespan(_: Starlette) -> Any:
            landing = asyncio.create_task(self.landing.run())

            def ended(task: asyncio.Task[None]) -> None:
                if not task.cancelled() and task.exception() is not None:
                    self.failed = task.exception()
                    on_failure()

            landing.add_done_callback(ended)
            tasks = [asyncio.create_task(asyncio.to_thread(_load))]
            tasks.append(asyncio.create_task(self._compact_often()))
            tasks += [asyncio.create_task(self._follow(log)) for log in self.settings.logs]
            if self.settings.checks:
                tasks.append(asyncio.create_task(self._check()))
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self.landing.stop()
                with contextlib.suppress(Exception):
                    await landing
                if self.failed is None:
                    await self._compact(ending=True)

        return Starlette(routes=routes, lifespan=lifespan)

    @property
    def is_open(self) -> bool:
        """Whether anybody may send."""
        return self._bearers.open

    async def take(self, kind: int, form: int, packed: bytes, body: bytes) -> Batch:
        """Take a body in; returns when the disk has it.

        Raises:
            UnreadableError: it is not what it says it is.
            LimitError: there is no memory for it now.
            FullError: there is no disk for it now.
        """
        received = time.time_ns()
        digest = hashlib.blake2b(body, digest_size=16, person=bytes([kind, form & _JSON])).digest()
        record = Record(kind, form, received, digest, packed)
        self.landing.check_room(len(body))
        if len(body) < _LARGE:
            batch = self._read(kind, form, body, received)
        else:  # seconds, in which the others are still answered
            async with self._large:
                batch = await asyncio.to_thread(self._read, kind, form, body, received)
        await self.landing.take(record, batch, len(body))
        return batch

    def _read(self, kind: int, form: int, body: bytes, received: int) -> Batch:
        # Loaded when it is first needed: a collector is to be back at once after a crash.
        if kind in _NAMES:
            from cadran.telemetry import otlp

            read = getattr(otlp, _NAMES[kind])
            return read(body, self._rules, received, is_json=bool(form & _JSON))  # type: ignore[no-any-return]
        module = importlib.import_module(f"cadran.telemetry.{_READERS[kind]}")
        return module.read(body, self._rules, received)  # type: ignore[no-any-return]

    def _decode(self, record: Record) -> Batch:
        """Read a record again after a crash; it was taken, whatever the limit is now."""
        body = self._unpack(record.body, record.form, _ANY)
        return self._read(record.kind, record.form, body, record.received)

    @staticmethod
    def _unpack(packed: bytes, form: int, most: int) -> bytes:
        if form & _SNAPPY:
            from cadran.telemetry import remote_write

            return remote_write.unpack(packed, most)
        if not form & _GZIP:
            return packed
        unpacker = zlib.decompressobj(wbits=31)
        try:
            body = unpacker.decompress(packed, most + 1)
        except zlib.error as problem:
            raise UnreadableError(f"the body is no gzip: {problem}") from None
        if len(body) > most:
            raise OverflowError(most)
        if not unpacker.eof or unpacker.unused_data:
            raise UnreadableError("the body is not one whole gzip.")
        return body

    def _route(self, kind: int) -> Callable[[Request], Awaitable[Response]]:
        async def receive(request: Request) -> Response:
            form = _JSON if _is_json(request) else 0
            try:
                return await self._receive(request, kind)
            except ClientDisconnect:
                return Response(status_code=400)
            except _REFUSALS as problem:
                return self._refuse(kind, form, self._refusal(problem))

        return receive

    def _refusal(self, problem: Exception) -> _Refused:
        if isinstance(problem, _Refused):
            return problem
        if isinstance(problem, UnauthenticatedError):
            header = {"WWW-Authenticate": 'Bearer realm="cadran"'}
            return _Refused(401, str(problem), header)
        if isinstance(problem, OverflowError):
            most = self.settings.limits.body
            return _Refused(413, f"a body has at most {most:g} MB, unpacked.")
        if isinstance(problem, LimitError):
            wait = {"Retry-After": str(max(1, math.ceil(problem.retry_after or 1)))}
            return _Refused(429, str(problem), wait)
        return (
            _Refused(503, str(problem), _WAIT)
            if isinstance(problem, FullError)
            else _Refused(400, str(problem))
        )

    async def _receive(self, request: Request, kind: int) -> Response:
        self._know(request)
        form = _form(request, kind)
        if self._bodies >= self.settings.limits.bodies:
            raise LimitError("too many bodies are worked on: send again.", retry_after=1.0)
        self._bodies += 1
        held, most = 0, self._rules.max_body
        try:
            held += self._hold(min(_declared(request, most), most))
            packed = await self._body(request)
            body = self._unpack(packed, form, most)
            held += self._hold(len(body) if form & (_GZIP | _SNAPPY) else 0)
            batch = await self.take(kind, form, packed, body)
        finally:
            self._bodies -= 1
            self._held -= held
        if kind == REMOTE_WRITE:
            return Response(status_code=204)
        if kind == EVENTS:
            return JSONResponse({"rejected": batch.rejected, "message": batch.message})
        from cadran.telemetry import otlp

        message = otlp.answer(_NAMES[kind], batch.rejected, batch.message)
        return _respond(message, form, 200)

    def _hold(self, size: int) -> int:
        """Count bytes that a request holds until it is answered.

        Raises:
            LimitError: there is no memory for them now.
        """
        self.landing.check_room(self._held + size)
        self._held += size
        return size

    def _know(self, request: Request) -> None:
        """See that the sender may send."""
        host = request.headers.get("host", "").lower()
        name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
        if self._bearers.open:
            # A web page must not reach a collector without tokens under a name of its own.
            if exposure.is_loopback(self.settings.host) and name not in self._names:
                raise _Refused(
                    421, "this collector has no tokens, so it answers only under the names of this"
                    " machine and those in its setting hosts.",
                )  # fmt: skip
            return
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        caller = self._bearers.caller(bearer.strip() if scheme.lower() == "bearer" else None)
        if SCOPE not in caller.scopes:
            raise _Refused(
                403, f"the token of {caller.name} is not for sending telemetry: make one with"
                f" `cadran token create NAME --scope {SCOPE}`.",
            )  # fmt: skip
        self._meter.count(caller)

    async def _body(self, request: Request) -> bytes:
        most = self._rules.max_body
        if _declared(request, 0) > most:
            raise OverflowError(most)
        chunks, size = [], 0
        try:
            async with asyncio.timeout(_SECONDS):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > most:
                        raise OverflowError(size)
                    chunks.append(chunk)
        except TimeoutError:
            raise _Refused(408, f"the body took more than {_SECONDS} s to come.") from None
        return b"".join(chunks)

    def _refuse(self, kind: int, form: int, refused: _Refused) -> Response:
        self.landing.counts[f"refused_{refused.status}"] += 1
        if kind not in _NAMES:
            return JSONResponse(
                {"status": refused.status, "detail": refused.sentence},
                refused.status,
                refused.headers,
            )
        from google.rpc.status_pb2 import Status

        message = Status(code=_CODES[refused.status], message=refused.sentence)
        response = _respond(message, form, refused.status)
        response.headers.update(refused.headers)
        return response

    async def _live(self, _: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def _ready(self, _: Request) -> Response:
        is_ready = self.landing.ready.is_set()
        return JSONResponse(
            {"status": "ready" if is_ready else "reading"}, 200 if is_ready else 503
        )

    async def _status(self, request: Request) -> Response:
        try:
            self._know(request)
        except (UnauthenticatedError, _Refused) as problem:
            return JSONResponse({"detail": str(problem)}, getattr(problem, "status", 401))
        landing = self.landing
        return JSONResponse(
            {
                "committed": landing.committed,
                "counts": dict(landing.counts),
                "reasons": dict(landing.reasons.most_common(100)),
                "services": sorted(landing.state.routes),
            }
        )

    async def _follow(self, log: Any) -> None:
        from cadran.telemetry import log_tail

        await self.landing.ready.wait()
        await log_tail.follow(
            log, self.landing.state.offsets, lambda body: self.take(LINES, 0, body, body)
        )

    async def _check(self) -> None:
        await self.landing.ready.wait()
        await uptime.watch(self.settings.checks, lambda body: self.take(EVENTS, _JSON, body, body))

    async def _compact_often(self) -> None:
        await self.landing.ready.wait()
        while True:
            await asyncio.sleep(self.settings.compact)
            try:
                await self._compact()
            except Exception:  # noqa: BLE001 - what was there is still there, and the next turn tries again
                _LOG.exception("cannot compact %s", self.settings.folder)

    async def _compact(self, *, ending: bool = False) -> None:
        services = list(self.landing.state.routes)
        committed = self.landing.committed

        def work() -> None:
            from cadran.telemetry import compaction

            compaction.compact(self.settings, committed, time.time_ns(), services, ending=ending)

        async with self._compaction:
            await asyncio.shield(asyncio.to_thread(work))


def _load() -> None:
    """Load what the first body needs, while the collector listens already."""
    for name in ("otlp", "compaction"):
        importlib.import_module(f"cadran.telemetry.{name}")


def _declared(request: Request, otherwise: int) -> int:
    """How long a body is said to be."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isdecimal() else otherwise


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == _JSON_TYPE


def _form(request: Request, kind: int) -> int:
    """How a body is packed, by its headers."""
    declared = request.headers.get("content-type", "")
    media, _, parameters = declared.partition(";")
    media = media.strip().lower()
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if kind == REMOTE_WRITE:
        if media != _PROTOBUF_TYPE or "write.v2" in parameters or coding != "snappy":
            raise _Refused(
                415, f"remote-write takes {_PROTOBUF_TYPE} of version 1.0, packed by snappy."
            )
        return _SNAPPY
    allowed = [_JSON_TYPE] if kind == EVENTS else [_PROTOBUF_TYPE, _JSON_TYPE]
    if media not in allowed:
        raise _Refused(
            415, f"the body is of type '{media}'; this address takes {' or '.join(allowed)}."
        )
    if coding not in ("identity", "gzip", ""):
        raise _Refused(415, f"the body is packed by '{coding}'; this address takes gzip or none.")
    return (_JSON if media == _JSON_TYPE else 0) | (_GZIP if coding == "gzip" else 0)


def _respond(message: Any, form: int, status: int) -> Response:
    if form & _JSON:
        from google.protobuf import json_format

        content = json.dumps(json_format.MessageToDict(message))
        return Response(content, status, media_type=_JSON_TYPE)
    return Response(message.SerializeToString(), status, media_type=_PROTOBUF_TYPE)


class _Server(uvicorn.Server):
    """Says when it listens."""

    listening: Callable[[], None] = staticmethod(lambda: None)

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self.listening()


def collect(settings: Settings, listening: Callable[[str, Collector], None]) -> None:
    """Collect until the process is told to stop; what was taken is then landed.

    Args:
        settings: how.
        listening: is called with the address when it listens.

    Raises:
        CadranError: as `Collector`, or what ended it.
        OSError: the port is taken.
    """
    collector = Collector(settings)
    tls: dict[str, Any] = {}
    if settings.tls is not None:
        tls = {"ssl_certfile": settings.tls.certificate, "ssl_keyfile": settings.tls.key}

    def fail() -> None:
        server.should_exit = True

    class Limited(Connection):
        longest_head = settings.limits.header
        seconds = _SECONDS + _SLACK

    config = uvicorn.Config(
        collector.app(fail), host=settings.host, port=settings.port, log_level="warning",
        access_log=False, server_header=False, timeout_graceful_shutdown=_GRACE,
        timeout_keep_alive=_KEEP_ALIVE, loop="uvloop", http=Limited, ws="none", **tls,
    )  # fmt: skip
    listener = config.bind_socket()
    server = _Server(config)
    scheme = "https" if settings.tls else "http"
    address = f"{scheme}://{settings.host}:{listener.getsockname()[1]}"
    server.listening = lambda: listening(address, collector)
    # uvicorn raises the signal again when it has ended: what was taken must be landed before.
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()
    if collector.failed is not None:
        raise collector.failed
