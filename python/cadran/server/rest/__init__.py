"""REST under `/api/v1`: links and JSON, described by OpenAPI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Match

from cadran.server.rest.app import ROOT, Rest

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from cadran.server.context import House


class _Below(BaseRoute):
    """Everything below an address, whatever characters stand there."""

    def __init__(self, root: str, rest: Rest) -> None:
        self._root, self._rest = root, rest

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path: str = scope.get("path", "")
        is_ours = scope["type"] == "http" and (
            path.startswith(f"{self._root}/") or path == self._root
        )
        return (Match.FULL if is_ours else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._rest(scope, receive, send)


def routes(house: House) -> list[BaseRoute]:
    """Everything under `/api/v1`, with its own answers to what is not there."""
    return [_Below(ROOT, Rest(house))]
