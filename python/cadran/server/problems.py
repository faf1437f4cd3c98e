"""What a client is told when it gets no answer: a status, one sentence, and the near misses.

Only sentences that were written for clients leave. What a warehouse, a file system or a bug says
is logged under an identifier, and the client gets the identifier.
"""

from __future__ import annotations

import logging
import math
import secrets
from dataclasses import dataclass, field
from typing import Any

from cadran.errors import (
    BusyError,
    ClosingError,
    JournalError,
    LimitError,
    NotAllowedError,
    NotGovernedError,
    QueryError,
    RecordError,
    StoppedError,
    UnauthenticatedError,
    UnknownNameError,
    WarehouseError,
)

_LOG = logging.getLogger("cadran.server")
_MOST_NAMES = 200

TITLES = {
    "bad-request": "The request cannot be read",
    "bad-question": "The question makes no sense as it is asked",
    "unauthenticated": "Who asks is not known",
    "not-allowed": "The policy does not allow this",
    "not-governed": "The KPI's card does not allow this",
    "unknown-name": "A name does not exist",
    "not-found": "There is nothing at this address",
    "method-not-allowed": "The address does not take this method",
    "not-acceptable": "No format that was asked for can be given",
    "gone": "The page belongs to numbers that were replaced",
    "too-large": "The request or the answer is too large",
    "too-long": "The address is too long",
    "wrong-type": "The body is not JSON",
    "too-many": "Too many questions",
    "misdirected": "The server does not go by this name",
    "failed": "Something went wrong in the server",
    "unavailable": "The warehouse or the journal cannot answer",
    "stopped": "The question was stopped",
}
_KINDS: tuple[tuple[type[Exception], int, str], ...] = (
    (UnauthenticatedError, 401, "unauthenticated"),
    (NotAllowedError, 403, "not-allowed"),
    (NotGovernedError, 403, "not-governed"),
    (UnknownNameError, 404, "unknown-name"),
    (QueryError, 400, "bad-question"),
    (ClosingError, 503, "unavailable"),
    (RecordError, 503, "unavailable"),
    (StoppedError, 504, "stopped"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """What a client is told.

    Attributes:
        status: of HTTP.
        kind: a key of `TITLES`.
        sentence: what is wrong and what would be right.
        more: further members, such as `did_you_mean`.
        headers: that belong to it.
    """

    status: int
    kind: str
    sentence: str
    more: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """A request that HTTP itself refuses: a method, an address, a size, a page."""

    def __init__(
        self, status: int, kind: str, sentence: str, *, headers: dict[str, str] | None = None
    ) -> None:
        """Say it in a sentence."""
        self.problem = Problem(status, kind, sentence, headers=headers or {})
        super().__init__(sentence)


def problem_of(error: Exception, *, filtered: bool = False) -> Problem:  # noqa: PLR0911 - one each
    """What a client is told of an error.

    Args:
        error: what was raised.
        filtered: whether the client's question has filters, which the warehouse may have refused.
    """
    if isinstance(error, RefusedError):
        return error.problem
    for kind, status, name in _KINDS:
        if isinstance(error, kind):
            return Problem(status, name, str(error), _more(error), _headers(error))
    if isinstance(error, LimitError):
        if error.retry_after is None:
            return Problem(413, "too-large", str(error))
        wait = {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
        return Problem(429, "too-many", str(error), headers=wait)
    if isinstance(error, BusyError):
        wait = {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
        return Problem(503, "unavailable", str(error), headers=wait)
    if filtered and isinstance(error, WarehouseError) and error.incomparable:
        # Its text may hold a value of a row, which the caller may not be allowed to see.
        return Problem(
            400, "bad-question",
            "A filter compares what cannot be compared: give numbers for numbers, texts in single"
            " quotes for texts, and dates as '2026-01-31'.",
        )  # fmt: skip
    number = secrets.token_hex(4)
    _LOG.error("%s: %s", number, type(error).__name__, exc_info=error)
    if isinstance(error, JournalError):
        sentence = f"The journal cannot be used; the reason is recorded here as {number}."
        return Problem(503, "unavailable", sentence, {"record": number}, {"Retry-After": "5"})
    if isinstance(error, WarehouseError):
        sentence = f"The warehouse could not answer; the reason is recorded here as {number}."
        return Problem(503, "unavailable", sentence, {"record": number}, {"Retry-After": "5"})
    sentence = f"Something went wrong here; it is recorded as {number}."
    return Problem(500, "failed", sentence, {"record": number})


def _more(error: Exception) -> dict[str, Any]:
    if not isinstance(error, UnknownNameError):
        return {}
    return {
        "name": error.name,
        "did_you_mean": list(error.suggestions),
        "allowed": list(error.allowed[:_MOST_NAMES]),
    }


def _headers(error: Exception) -> dict[str, str]:
    if isinstance(error, UnauthenticatedError):
        return {"WWW-Authenticate": 'Bearer realm="cadran"'}
    return {"Retry-After": "5"} if isinstance(error, ClosingError) else {}
