"""The HTTP side as one application. A further group of routes joins in `ROUTES`."""

from __future__ import annotations

import contextlib
import importlib
import json
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware

from cadran.server import health
from cadran.server.problems import TITLES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

    from cadran.server.context import House
    from cadran.server.health import Counting
    from cadran.server.settings import Settings


_KIND = "misdirected"


def host_names(settings: Settings) -> tuple[str, ...]:
    """The names by which clients may reach a server, without a port."""
    ours = ("127.0.0.1", "localhost", "[::1]", settings.host, *settings.hosts)
    return tuple(dict.fromkeys(name for name in ours if name))


class Hosts:
    """ASGI middleware that turns away requests under other names."""

    def __init__(self, app: ASGIApp, allowed: tuple[str, ...]) -> None:
        """Stand before an application."""
        self._app = app
        self._allowed = frozenset(name.lower().encode() for name in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what goes by an allowed name."""
        if scope["type"] == "http":
            host = next((value for name, value in scope["headers"] if name == b"host"), b"")
            if _name(host) not in self._allowed:
                await self._refuse(send)
                return
        await self._app(scope, receive, send)

    @staticmethod
    async def _refuse(send: Send) -> None:
        told = {
            "type": f"/api/v1/docs#{_KIND}",
            "title": TITLES[_KIND],
            "status": 421,
            "detail": "This server has no tokens, so it answers only under the names of this"
            " machine and those in its setting `hosts`.",
        }
        headers = [(b"content-type", b"application/problem+json")]
        await send({"type": "http.response.start", "status": 421, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(told).encode()})


def _name(host: bytes) -> bytes:
    """A Host header without its port."""
    if host.startswith(b"["):
        return host.partition(b"]")[0].lower() + b"]"
    return host.partition(b":")[0].lower()


# Modules with `routes(house)`, and, where something has to run with them, `running(house)`.
ROUTES: tuple[str, ...] = ("rest", "mcp", "graphql")


def make(house: House, counting: Counting) -> Starlette:
    """The application of a house."""
    modules = [importlib.import_module(f"cadran.server.{name}") for name in ROUTES]
    routes: list[BaseRoute] = [*health.routes(house, counting)]
    for module in modules:
        routes += module.routes(house)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for module in modules:
                if hasattr(module, "running"):
                    await stack.enter_async_context(module.running(house))
            yield

    # Where tokens are asked for, a page of another name gets nowhere anyway.
    names = host_names(house.settings)
    guard = [Middleware(Hosts, names)] if house.who.open and house.settings.is_loopback else []
    return Starlette(routes=routes, lifespan=lifespan, middleware=guard)
