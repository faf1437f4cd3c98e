"""The door of agents over HTTP: who asks is known before MCP reads anything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings

from cadran.errors import UnauthenticatedError
from cadran.server.hosts import names
from cadran.server.problems import problem_of
from cadran.server.rest.http import Call, Reply

if TYPE_CHECKING:
    from mcp.server.lowlevel.server import Server
    from starlette.types import Receive, Scope, Send

    from cadran.server.house import House
    from cadran.server.settings import Settings

_LARGEST = 1_000_000  # bytes of a request


class Door:
    """The ASGI application at `/mcp`. It keeps no sessions: each request says who asks."""

    def __init__(self, house: House, server: Server[Any]) -> None:
        """Take the server behind it."""
        self._house = house
        self.manager = StreamableHTTPSessionManager(
            server,
            stateless=True,
            security_settings=_security(house.settings, is_open=house.who.open),
            max_request_body_size=_LARGEST,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            self._house.caller(Call(scope, receive).header(b"authorization"))
        except UnauthenticatedError as error:
            told = problem_of(error)
            body = json.dumps({"error": "invalid_token", "error_description": told.sentence})
            headers = [
                (name.lower().encode(), text.encode()) for name, text in told.headers.items()
            ]
            await Reply(body.encode(), status=told.status, headers=headers).send(send)
            return
        await self.manager.handle_request(scope, receive, send)


def _security(settings: Settings, *, is_open: bool) -> TransportSecuritySettings:
    """Which names and origins are accepted, so that no web page reaches a server on loopback."""
    known = names(settings)
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=is_open or bool(settings.hosts),
        allowed_hosts=[*known, *(f"{name}:*" for name in known)],
        allowed_origins=[
            *(f"{scheme}://{name}:*" for scheme in ("http", "https") for name in known),
            *settings.origins,
        ],
    )
