"""Agents over standard input and output: one agent, one process, the same desk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp.server.stdio import stdio_server

from cadran.server.agents.server import Agents
from cadran.server.run import prepare

if TYPE_CHECKING:
    from cadran.project import Project
    from cadran.server.settings import Settings


async def serve(project: Project, settings: Settings, token: str | None) -> None:
    """Serve the agent at the other end.

    Args:
        project: what is served.
        settings: how; addresses and ports do not matter.
        token: says who asks, where tokens are configured.

    Raises:
        UnauthenticatedError: nobody known has this token.
        CadranError: policy or tokens are broken, or there is no warehouse.
    """
    house, _ = prepare(project, settings)
    try:
        caller = house.caller(f"Bearer {token}" if token else None)
        if settings.refresh:
            house.desk.states.watch()
        server = Agents(house, caller).server
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
    finally:
        house.workers.shutdown(wait=True, cancel_futures=True)
        house.desk.close()
