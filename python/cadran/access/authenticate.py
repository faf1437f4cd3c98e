"""From what a client sends to who asks."""

from __future__ import annotations

from typing import Protocol

from cadran.access.caller import LOCAL, Caller


class Authenticator(Protocol):
    """What knows callers by their bearer tokens."""

    open: bool  # accepts anybody

    def caller(self, bearer: str | None) -> Caller:
        """Who bears this token.

        Raises:
            UnauthenticatedError: nobody known does.
        """


class Anybody:
    """Accepts any bearer and none: only for a server that listens on loopback."""

    open = True

    def caller(self, bearer: str | None) -> Caller:  # noqa: ARG002
        """The user of this machine."""
        return LOCAL
