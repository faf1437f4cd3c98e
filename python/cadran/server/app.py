"""The HTTP side as one application. A further group of routes joins in `ROUTES`."""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware

from cadran.server import health
from cadran.server.http import Hosts, host_names

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.routing import BaseRoute

    from cadran.audit.log import Counting
    from cadran.server.http import ServerContext


# Modules with `routes(server_context)`, and `running(server_context)` where something has to run
# with them.
ROUTES: tuple[str, ...] = ("rest", "mcp", "graphql")


def make(server_context: ServerContext, counting: Counting) -> Starlette:
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
