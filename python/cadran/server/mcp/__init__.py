"""Agents: the layer as an MCP server, at `/mcp` of the HTTP server or over stdio."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, cast

from starlette.routing import Route

from cadran.server.mcp.server import McpEndpoint, McpServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.routing import BaseRoute

    from cadran.server.http import ServerContext

_PART = "mcp"


def routes(server_context: ServerContext) -> list[BaseRoute]:
    """`/mcp`, in MCP's streamable HTTP."""
    endpoint = server_context.parts[_PART] = McpEndpoint(
        server_context, McpServer(server_context).server
    )
    return [Route("/mcp", endpoint)]


@contextlib.asynccontextmanager
async def running(server_context: ServerContext) -> AsyncIterator[None]:
    """Keep the tasks in which requests are answered."""
    logging.getLogger("mcp").setLevel(logging.WARNING)
    endpoint = cast("McpEndpoint", server_context.parts[_PART])
    async with endpoint.manager.run():
        yield
