"""REST under `/api/v1`: links and JSON, described by OpenAPI."""

from cadran.server.rest.app import routes

__all__ = ["routes"]
