"""Connections of HTTP within limits: how long a head may be, how long a request may take to come.

The event loop holds every connection, so none may grow, wait or stay without an end: what would is
refused with 431, 408 or 503, and closed.
"""

from __future__ import annotations

import json
import resource
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

STALLED = 60.0  # seconds after which a client that takes no more of its answer is left
MOST = 1000  # connections at the same time
_LINGER = 1.0  # seconds in which a client may read why it was refused
_SLICE = 65_536
_DETAILS = {
    408: "The request did not come whole in time.",
    431: "The line and the headers of the request have more than {longest_head:,} bytes.",
    503: "There are too many connections: try again in a moment.",
}


class Connection(HttpToolsProtocol):
    """One connection, as uvicorn holds it, with an end to everything.

    Attributes:
        longest_head: bytes of a request's line and headers.
        seconds: in which a request has to come, from its first byte or the connection on.
    """

    longest_head = 65_536
    seconds = 20.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Begin without a byte."""
        super().__init__(*arguments, **named)
        self._head = 0  # bytes of the head that is being read
        self._in_head = self._in_message = self._refused = False
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or refuse one too many."""
        super().connection_made(transport)
        if len(self.connections) > most():
            self._refuse(503)
        else:
            self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of it."""
        self._came()
        self._flows()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came, in pieces as long as a head may be."""
        for at in range(0, len(data), _SLICE):
            if self._refused or self.transport.is_closing():
                return
            part = data[at : at + _SLICE]
            began_in_head = self._in_head
            super().data_received(part)
            if self._in_head:
                self._head += len(part) if began_in_head else 0
                if self._head > self.longest_head:
                    self._refuse(431)
        is_idle = self.cycle is None or self.cycle.response_complete
        if (self._in_message or is_idle) and self._deadline is None:
            self._await_request()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head, self._in_head, self._in_message = 0, True, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole: work on it unless it is too long."""
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self.longest_head:
            self._refuse(431)
        elif not self._refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body, unless the request was refused."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_message = False
        self._came()
        if not self._refused:
            super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not take what is sent: wait for it, but not for ever."""
        super().pause_writing()
        if self._stall is None:
            self._stall = self.loop.call_later(STALLED, self.transport.abort)

    def resume_writing(self) -> None:
        """It takes it again."""
        self._flows()
        super().resume_writing()

    def _await_request(self) -> None:
        if not self._refused:
            self._deadline = self.loop.call_later(self.seconds, self._late)

    def _came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _flows(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _late(self) -> None:
        self._deadline = None
        is_answered = self.cycle is not None and self.cycle.response_started
        if self._in_message and (self._in_head or not is_answered):
            self._refuse(408)
        else:
            self.transport.close()  # nothing was asked, or it is answered: there is nothing to say

    def _refuse(self, status: int) -> None:
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._came()
        self._unset_keepalive_if_required()
        title = HTTPStatus(status).phrase
        detail = _DETAILS[status].format(longest_head=self.longest_head)
        body = json.dumps({"title": title, "status": status, "detail": detail}).encode()
        head = (
            f"HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        # Closed at once, what the client still sends would make its system drop the reply unread.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER, self.transport.close)


def most() -> int:
    """Connections at the same time: half of the files that the process may open, at most."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if files == resource.RLIM_INFINITY else min(MOST, files // 2)
