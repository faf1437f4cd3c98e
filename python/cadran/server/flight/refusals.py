"""What a client is told when it gets no rows: a status of gRPC and one sentence.

Only sentences that were written for clients leave. What a warehouse, a file system or a bug says
is logged under an identifier, and the client gets the identifier.
"""

from __future__ import annotations

import logging
import secrets

from grpc import StatusCode

from cadran.errors import (
    LimitError,
    NotAllowedError,
    NotGovernedError,
    QueryError,
    StoppedError,
    UnauthenticatedError,
    WarehouseError,
)
from cadran.server.flight.tickets import GoneError

_LOG = logging.getLogger("cadran.server")
_LONGEST = 1500  # bytes: a status travels in a header
_CODES: tuple[tuple[type[Exception], StatusCode], ...] = (
    (UnauthenticatedError, StatusCode.UNAUTHENTICATED),
    (NotAllowedError, StatusCode.PERMISSION_DENIED),
    # A client shows an INVALID_ARGUMENT as a question that failed, not as a login that did.
    (NotGovernedError, StatusCode.INVALID_ARGUMENT),
    (GoneError, StatusCode.NOT_FOUND),
    (QueryError, StatusCode.INVALID_ARGUMENT),
    (StoppedError, StatusCode.DEADLINE_EXCEEDED),
)


class UnsupportedError(Exception):
    """Something of the protocol that this server does not offer."""


def refusal(error: Exception) -> tuple[StatusCode, str]:
    """The status and the sentence for an error."""
    if isinstance(error, UnsupportedError):
        return StatusCode.UNIMPLEMENTED, str(error)
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code, _short(str(error))
    if isinstance(error, LimitError):
        # What has to be asked otherwise is a question that failed; the rest can be asked again.
        again = error.retry_after is not None
        code = StatusCode.RESOURCE_EXHAUSTED if again else StatusCode.INVALID_ARGUMENT
        return code, _short(str(error))
    if getattr(error, "incomparable", False):
        # Its text may hold a value of a row, which the caller may not be allowed to see.
        return StatusCode.INVALID_ARGUMENT, (
            "A filter compares what cannot be compared: give numbers for numbers, texts in single"
            " quotes for texts, and dates as '2026-01-31'."
        )
    number = secrets.token_hex(4)
    _LOG.error("%s: %s", number, type(error).__name__, exc_info=error)
    if isinstance(error, WarehouseError):
        return StatusCode.UNAVAILABLE, (
            f"The warehouse could not answer; the reason is recorded here as {number}."
        )
    return StatusCode.INTERNAL, f"Something went wrong here; it is recorded as {number}."


def _short(sentence: str) -> str:
    text = " ".join(sentence.split())
    if len(text.encode()) <= _LONGEST:
        return text
    return text.encode()[:_LONGEST].decode(errors="ignore") + " …"
