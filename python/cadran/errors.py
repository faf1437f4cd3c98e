"""What can go wrong, in one tree.

    CadranError
    ├── ProjectError (FileNotFoundError)      the project is not there, or not built
    ├── CardError (ValueError)                a KPI's card says what it must not, or too little
    ├── PolicyError (ValueError)              the policy file or the file of tokens is broken
    ├── QueryError (ValueError)               the question makes no sense
    │   ├── UnknownNameError (LookupError)    a name in it does not exist
    │   └── NotForecastError                  the KPI cannot be forecast from its days
    ├── NotGovernedError (PermissionError)    the KPI is not defined at that grain or dimension
    ├── UnauthenticatedError (PermissionError)  a server does not know who asks
    ├── NotAllowedError (PermissionError)     the policy does not let this caller see that
    ├── LimitError (RuntimeError)             the caller asked too often or for too much
    ├── ServiceError (ConnectionError)        another program cannot be reached, or refused
    ├── RecordError (RuntimeError)            a question cannot be recorded, and has to be
    ├── JournalError (RuntimeError)           what people said cannot be kept, or was changed
    ├── AlertsError (RuntimeError)            alerts cannot be remembered, or are set wrongly
    ├── ReportError (RuntimeError)            a report cannot be laid out as it has to be
    └── WarehouseError (RuntimeError)         the warehouse cannot be read, or refused the SQL
        ├── BusyError                         it cannot now, and will in a moment
        └── StoppedError (TimeoutError)       a statement was stopped: too long, or nobody waits
            └── ClosingError                  it was stopped because the server ends

Every message names what is wrong, where, and what would be right.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class CadranError(Exception):
    """Anything that Cadran refuses or cannot do.

    Attributes:
        worded: the key of its words in `words.yml` and what their places hold; None where its
            sentence is in English alone.
    """

    worded: tuple[str, Mapping[str, object]] | None = None


class ProjectError(CadranError, FileNotFoundError):
    """The dbt project or its artefacts are not where they should be."""

    def __str__(self) -> str:
        """The sentence alone: OSError would print it as an argument tuple."""
        return str(self.args[0])


class CardError(CadranError, ValueError):
    """A KPI's card is incomplete or holds a value that is not allowed.

    Attributes:
        key: the key of the card that is meant, such as `owner.business`; None when there is none.
    """

    def __init__(self, message: str, key: str | None = None) -> None:
        """Say it in a sentence that names file, KPI and key."""
        self.key = key
        super().__init__(message)


class PolicyError(CadranError, ValueError):
    """What says who may see what cannot be read, or names what does not exist."""


class QueryError(CadranError, ValueError):
    """The question cannot be answered as it is asked."""


class NotForecastError(QueryError):
    """A KPI cannot be forecast from its days.

    Attributes:
        reason: short (its history), sums (its days do not add up) or hidden (some of its values).
    """

    def __init__(self, message: str, reason: Literal["short", "sums", "hidden"]) -> None:
        """Say it in a sentence, and for short."""
        self.reason = reason
        super().__init__(message)


class UnknownNameError(QueryError, LookupError):
    """A name in the question does not exist.

    Attributes:
        name: the name that was asked.
        suggestions: existing names that look like it, the nearest first.
        allowed: every name that could stand there.
    """

    def __init__(
        self, kind: str, name: str, allowed: Iterable[str], where: str = "", hint: str = ""
    ) -> None:
        """Say which name of which kind is unknown, and what it might have meant.

        The hint is a sentence that stands where the allowed names would.
        """
        self.name = name
        self.allowed = tuple(sorted(set(allowed)))
        self.suggestions = near_misses(name, self.allowed)
        parts = [f"There is no {kind} '{name}'{where}."]
        if self.suggestions:
            parts.append(f"Did you mean {' or '.join(repr(s) for s in self.suggestions)}?")
        parts.append(hint or f"Allowed: {listing(self.allowed)}.")
        super().__init__(" ".join(parts))

    @classmethod
    def told(
        cls, sentence: str, name: str, suggestions: Iterable[str], allowed: Iterable[str]
    ) -> UnknownNameError:
        """The error of a server, in its own sentence."""
        error = cls("name", name, allowed)
        error.suggestions, error.args = tuple(suggestions), (sentence,)
        return error


class NotGovernedError(CadranError, PermissionError):
    """The KPI is asked at a grain or by a dimension that is not on its card."""

    def __str__(self) -> str:
        """The sentence alone: OSError would print it as an argument tuple."""
        return str(self.args[0])


class UnauthenticatedError(CadranError, PermissionError):
    """A server does not know who asks: the token is missing, unknown, expired or revoked."""

    def __str__(self) -> str:
        """The sentence alone: OSError would print it as an argument tuple."""
        return str(self.args[0])


class NotAllowedError(CadranError, PermissionError):
    """The policy does not let this caller see that."""

    def __str__(self) -> str:
        """The sentence alone: OSError would print it as an argument tuple."""
        return str(self.args[0])


class LimitError(CadranError, RuntimeError):
    """The caller asked too often, at once too much, or for too large an answer.

    Attributes:
        retry_after: seconds after which the same question may be asked again; None when it has to
            be asked otherwise.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """Say which limit, and what would be within it."""
        self.retry_after = retry_after
        super().__init__(message)


class WarehouseError(CadranError, RuntimeError):
    """The warehouse cannot be opened, or refused a statement.

    Attributes:
        incomparable: whether it refused to compare or cast values: where the question has filters,
            one of them compares what cannot be compared.
    """

    def __init__(self, message: str, *, incomparable: bool = False) -> None:
        """Say what cannot be done."""
        self.incomparable = incomparable
        super().__init__(message)


class BusyError(WarehouseError):
    """The warehouse cannot answer now: it is being built, or all its connections are at work.

    Attributes:
        retry_after: seconds after which the same question may be asked again.
    """

    def __init__(self, message: str, *, retry_after: float) -> None:
        """Say what it waits for; anybody who asks may read it."""
        self.retry_after = retry_after
        super().__init__(message)


class StoppedError(WarehouseError, TimeoutError):
    """A statement was stopped because it took too long, or because nobody waits for it."""


class ClosingError(StoppedError):
    """A question was stopped, or not begun, because the server ends."""


class RecordError(CadranError, RuntimeError):
    """A question cannot be recorded, and must not be answered without."""


class JournalError(CadranError, RuntimeError):
    """What people said cannot be read or written, or is not what they said."""


class AlertsError(CadranError, RuntimeError):
    """What alerts remember cannot be read or written, or their file says what it must not."""


class ReportError(CadranError, RuntimeError):
    """A report cannot be written, or would be laid out in a way that nobody should read."""


class ServiceError(CadranError, ConnectionError):
    """Another program, such as a BI tool, cannot be reached, or refused what was asked of it."""


def near_misses(name: str, allowed: Iterable[str]) -> tuple[str, ...]:
    """At most three allowed names that look like the one given, the nearest first."""
    by_folded = {other.lower(): other for other in allowed}
    near = difflib.get_close_matches(name.lower(), by_folded, n=3, cutoff=0.6)
    return tuple(by_folded[other] for other in near)


def listing(names: Iterable[str], most: int = 40) -> str:
    """Names in one line, cut after `most` with the number left out."""
    shown = list(names)
    rest = len(shown) - most
    text = ", ".join(shown[:most]) or "none"
    return f"{text} and {rest} more" if rest > 0 else text
