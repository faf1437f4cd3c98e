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


# Modules with `routes(house)`, and, where something has to run with them, `running(house)`.
ROUTES: tuple[str, ...] = ("rest", "mcp", "graphql")


def make(house: ServerContext, counting: Counting) -> Starlette:
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
