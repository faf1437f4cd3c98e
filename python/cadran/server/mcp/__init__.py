"""Agents: the layer as an MCP server, at `/mcp` of the HTTP server or over stdio."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, cast

from starlette.routing import Route

from cadran.server.mcp.server import Agents, Door

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.routing import BaseRoute

    from cadran.server.http import ServerContext

_PART = "agents"


def routes(house: ServerContext) -> list[BaseRoute]:
    """`/mcp`, in MCP's streamable HTTP."""
    door = house.parts[_PART] = Door(house, Agents(house).server)
    return [Route("/mcp", door)]


@contextlib.asynccontextmanager
async def running(house: ServerContext) -> AsyncIterator[None]:
    """Keep the tasks in which requests are answered."""
    logging.getLogger("mcp").setLevel(logging.WARNING)
    door = cast("Door", house.parts[_PART])
    async with door.manager.run():
        yield
