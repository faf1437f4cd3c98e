"""From what a client sends to who asks."""

from __future__ import annotations

import datetime as dt
import hmac
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Protocol

from cadran.access import tokens
from cadran.access.caller import LOCAL, Caller
from cadran.errors import PolicyError, UnauthenticatedError

if TYPE_CHECKING:
    from pathlib import Path

    from cadran.access.oidc import Logins
    from cadran.access.tokens import Token

_LOG = logging.getLogger("cadran.access")
_LOOK = 1.0  # seconds between two looks at the file
_LONGEST = 16_384  # characters of a bearer token


class Authenticator(Protocol):
    """What knows callers by their bearer tokens."""

    @property
    def open(self) -> bool:
        """Whether it accepts anybody."""

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


class Bearers:
    """Knows callers by tokens of a file and by logins. Thread-safe.

    While there is neither a file nor logins it accepts anybody, and from the first token on nobody
    without one; it never opens again.
    """

    def __init__(self, path: Path, logins: Logins | None = None) -> None:
        """Take the file of tokens, which need not exist yet, and who checks logins.

        Raises:
            PolicyError: the file cannot be read.
        """
        self._path, self._logins = path, logins
        self._lock = threading.Lock()
        self._stamp = self._stamp_now()
        self._by_hash: dict[str, Token] = {token.hash: token for token in tokens.read(path)}
        self._looked = time.monotonic()
        self._open = self._stamp is None and logins is None

    @property
    def open(self) -> bool:
        """Whether it accepts anybody."""
        self._look()
        return self._open

    def caller(self, bearer: str | None) -> Caller:
        """Who bears this token.

        Raises:
            UnauthenticatedError: nobody known does; the sentence does not repeat the token.
        """
        self._look()
        if self._open:
            return LOCAL
        if not bearer:
            raise UnauthenticatedError("This server needs a token: send `Authorization: Bearer …`.")
        if len(bearer) > _LONGEST:
            raise UnauthenticatedError("The token is longer than any token here is.")
        if self._logins is not None and not bearer.startswith(tokens.PREFIX):
            return self._logins.caller(bearer)
        wanted = tokens.hashed(bearer)
        # What is looked up is a hash of 256 random bits: how long it takes tells nothing of them.
        found = self._by_hash.get(wanted)
        if found is None or not hmac.compare_digest(found.hash, wanted):
            raise UnauthenticatedError("The token is not known here.")
        ended = found.ended(dt.datetime.now(dt.UTC))
        if ended is not None:
            raise UnauthenticatedError(
                f"The token of {found.name} ending in {found.last} is {ended}: ask for a new one."
            )
        return found.caller

    def _look(self) -> None:
        """Read the file again if it changed; it is looked at once a second at most."""
        if time.monotonic() - self._looked < _LOOK:
            return
        with self._lock:
            if time.monotonic() - self._looked < _LOOK:
                return
            self._looked = time.monotonic()
            stamp = self._stamp_now()
            if stamp == self._stamp:
                return
            try:
                self._by_hash = {token.hash: token for token in tokens.read(self._path)}
            except PolicyError as problem:
                _LOG.error("the tokens known before go on: %s", problem)
            self._stamp, self._open = stamp, False

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - a path's own method is slower
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
