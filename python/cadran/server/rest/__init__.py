"""REST under `/api/v1`: links and JSON, described by OpenAPI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from cadran.server.rest.application import Rest

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from cadran.server.house import House


def routes(house: House) -> list[BaseRoute]:
    """Everything under `/api/v1`, with its own answers to what is not there."""
    rest = Rest(house)
    return [Route("/api/v1/{path:path}", rest), Route("/api/v1", rest)]
