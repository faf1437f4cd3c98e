"""Arrow Flight SQL: the door for dbt Semantic Layer clients, ADBC, JDBC and ODBC."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cadran.server.flight.server import Listening
    from cadran.server.http import ServerContext


def start(server_context: ServerContext) -> tuple[Listening, int]:
    """A server that listens, in a thread of its own, and its port.

    Raises:
        OSError: the port is taken.
    """
    from cadran.server.flight.server import Listening

    server = Listening(server_context)
    return server, server.port
