"""Starts and stops a server: the query service, HTTP and Flight SQL in one process."""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import logging
import signal
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from cadran.access import authorize, exposure
from cadran.access.connections import Connection
from cadran.audit.log import Counting
from cadran.core.warehouse import Confinement
from cadran.errors import ProjectError
from cadran.server import health
from cadran.server.http import Hosts, ServerContext, address, host_names
from cadran.serving import memory
from cadran.serving.execution import MEGABYTE
from cadran.serving.service import QueryService
from cadran.serving.snapshots import SnapshotStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.routing import BaseRoute

    from cadran.core.project.artifacts import Project
    from cadran.server.settings import Settings
    from cadran.serving.snapshots import Snapshot

_LOG = logging.getLogger("cadran.server")
_GRACE = 10  # seconds in which everything ends when the server stops
_PATIENCE = 4.0  # seconds of them that questions in flight have


class Running:
    """A server that runs.

    Attributes:
        server_context: its parts.
        http: the address of HTTP, such as `http://127.0.0.1:8765`.
        flight: the address of Flight SQL, such as `grpc://127.0.0.1:8766`; None without it.
    """

    def __init__(self, server_context: ServerContext, http: str, flight: str | None) -> None:
        """Name its parts."""
        self.server_context, self.http, self.flight = server_context, http, flight


# Modules with `routes(server_context)`, and `running(server_context)` where something has to run
# with them.
ROUTES: tuple[str, ...] = ("rest", "mcp", "graphql", "board")


def application(server_context: ServerContext, counting: Counting) -> Starlette:
    """The application of a server."""
    modules = [importlib.import_module(f"cadran.server.{name}") for name in ROUTES]
    routes: list[BaseRoute] = [*health.routes(server_context, counting)]
    for module in modules:
        routes += module.routes(server_context)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for module in modules:
                if hasattr(module, "running"):
                    await stack.enter_async_context(module.running(server_context))
            yield

    # Where tokens are asked for, a page of another name gets nowhere anyway.
    names = host_names(server_context.settings)
    guard = (
        [Middleware(Hosts, names)]
        if server_context.who.open and server_context.settings.is_loopback
        else []
    )
    return Starlette(routes=routes, lifespan=lifespan, middleware=guard)


def prepare(project: Project, settings: Settings) -> tuple[ServerContext, Counting]:
    """The parts of a server that do not listen yet.

    Raises:
        ProjectError: it would listen to others than this machine without tokens or TLS.
        CadranError: policy or tokens are broken, or there is no warehouse.
    """
    authenticator = authorize.authenticator(settings.tokens, settings.oidc)
    exposure.refuse(
        settings.host, is_open=authenticator.open, has_tls=settings.tls is not None,
        insecure=settings.insecure, act="ask",
    )  # fmt: skip
    gate = authorize.gate(settings.policy)
    authorize.refuse_roles_without_policy(settings.tokens, settings.oidc, gate)
    confined = Confinement(
        settings.memory or memory.share(), settings.threads,
        connections=settings.connections, seconds=settings.seconds,
    )  # fmt: skip
    snapshots = SnapshotStore(
        project,
        confined=confined,
        every=settings.refresh or 1.0,
        landed=_landed(project) if settings.live else None,
    )
    counting = Counting(authorize.audit(settings.audit, strict=settings.must_record))
    service = QueryService(
        snapshots,
        gate=gate,
        audit=counting,
        cache_bytes=int(settings.cache * MEGABYTE),
        seconds=settings.seconds,
    )
    snapshots.begin()
    service.gate.check(snapshots.current.layer)
    return ServerContext(service, authenticator, settings), counting


def _landed(project: Project) -> Path:
    """Where the collector of a project lands.

    Raises:
        ProjectError: there is no dbt project, whose models make the hot rows.
    """
    from cadran.telemetry import settings

    if project.root is None:
        raise ProjectError("live needs a dbt project, whose models it runs: name its folder.")
    return settings.read(project.root, {}, runs=False).folder


@contextlib.contextmanager
def serving(project: Project, settings: Settings) -> Iterator[Running]:
    """A server in threads of this process, until the block ends.

    Raises:
        CadranError: as `prepare`.
        ProjectError: a port is taken.
    """
    with _listening(project, settings) as (server, running):
        thread = threading.Thread(target=server.run, name="http", daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            thread.join(0.01)
        try:
            yield running
        finally:
            server.should_exit = True
            thread.join(_GRACE)


def serve(project: Project, settings: Settings, announce: Callable[[Running], None]) -> None:
    """Serve until the process is told to stop.

    Args:
        project: what is served.
        settings: how.
        announce: is called when it listens.

    Raises:
        CadranError: as `prepare`.
        OSError: a port is taken.
    """
    with _listening(project, settings) as (server, running):
        # uvicorn ends gracefully and then raises the signal again: what is still to be written and
        # removed here must come after that. Before it listens, the signal is kept for it.
        signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
        snapshots = running.server_context.service.snapshots
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, lambda *_: snapshots.hurry())

        def listening() -> None:
            # What was loaded until here stays: the collector need not look through it at each full
            # turn, which would hold up every client for a moment.
            gc.collect()
            gc.freeze()
            announce(running)

        server.listening = listening
        try:
            server.run()
        finally:
            gc.unfreeze()  # or what is left at the end of the process is called a leak


@contextlib.contextmanager
def _listening(project: Project, settings: Settings) -> Iterator[tuple[_Server, Running]]:
    server_context, counting = prepare(project, settings)
    try:
        config = uvicorn.Config(application(server_context, counting), **_uvicorn(settings))
        listener = _bound(settings.host, settings.port)
        port = listener.getsockname()[1]
        server = _Server(config, listener, server_context)
        flight, flight_address = _flight(server_context, settings)
        if settings.refresh:
            server_context.service.snapshots.watch()
        if settings.live:
            server_context.service.snapshots.follow()
        if settings.warm:
            warm = _Warmth(server_context)
            server_context.service.snapshots.listeners.append(warm)
            warm()
        scheme = "https" if settings.tls else "http"
        http = f"{scheme}://{address(settings.host)}:{port}"
        try:
            with _evaluating(project, settings, server_context):
                yield server, Running(server_context, http, flight_address)
        finally:
            listener.close()
            if flight is not None:
                flight.stop(_GRACE).wait()
            server.ending.cancel()
    finally:
        server_context.workers.shutdown(wait=True, cancel_futures=True)
        server_context.service.close()


@contextlib.contextmanager
def _evaluating(
    project: Project, settings: Settings, server_context: ServerContext
) -> Iterator[None]:
    """Alerts are evaluated in a thread of their own, where the settings name their policies.

    Raises:
        AlertsError: the policies or what they remember cannot be read.
    """
    if settings.alerts is None:
        yield
        return
    from cadran.reliability.alerts import evaluator, policy

    root = project.root or Path()
    policies = policy.read(root, settings.alerts)
    with evaluator.opened(policies, server_context.service.snapshots.layer, root) as alerts:
        server_context.alerts = alerts.store
        stop = threading.Event()
        thread = threading.Thread(target=alerts.run, args=[stop], name="alerts", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(_GRACE)


class _Warmth:
    """Answers beforehand what the first readers ask, in a worker thread."""

    def __init__(self, server_context: ServerContext) -> None:
        self._server_context = server_context

    def __call__(self, _: Snapshot | None = None) -> None:
        self._server_context.workers.submit(self._warm)

    def _warm(self) -> None:
        for warm in self._server_context.warmers:
            warm()


class _Server(uvicorn.Server):
    """Uvicorn on a socket that is bound already, so that its port is known."""

    def __init__(
        self, config: uvicorn.Config, listener: Any, server_context: ServerContext
    ) -> None:
        super().__init__(config)
        self._listener = listener
        self._server_context = server_context
        # Questions that are not answered by then are stopped, so that each gets its reply.
        self.ending = threading.Timer(_PATIENCE, server_context.service.end)
        self.ending.daemon = True
        self.listening: Callable[[], None] = lambda: None

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self.listening()

    async def shutdown(self, sockets: Any = None) -> None:
        self._server_context.ending.set()
        self.ending.start()
        await super().shutdown(sockets)

    def run(self, sockets: Any = None) -> None:
        super().run(sockets=sockets or [self._listener])


def _bound(host: str, port: int) -> socket.socket:
    """A socket at an address.

    Raises:
        ProjectError: it cannot be had.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as problem:
        listener.close()
        raise ProjectError(
            f"Port {port} of {host} cannot be listened on: {problem.strerror}. Give another one"
            " with --port, or end what listens there."
        ) from None
    return listener


def _uvicorn(settings: Settings) -> dict[str, Any]:
    tls: dict[str, Any] = {}
    if settings.tls is not None:
        tls = {"ssl_certfile": settings.tls[0], "ssl_keyfile": settings.tls[1]}
    return {
        "host": settings.host, "port": settings.port, "log_level": "warning", "access_log": False,
        "server_header": False, "timeout_graceful_shutdown": _GRACE, "loop": "uvloop",
        "http": Connection, "ws": "none", **tls,
    }  # fmt: skip


def _flight(server_context: ServerContext, settings: Settings) -> tuple[Any, str | None]:
    if settings.flight_port is None:
        return None, None
    if importlib.util.find_spec("cadran.server.flight") is None:
        return None, None
    server, port = importlib.import_module("cadran.server.flight").start(server_context)
    scheme = "grpc+tls" if settings.tls else "grpc"
    return server, f"{scheme}://{address(settings.host)}:{port}"
