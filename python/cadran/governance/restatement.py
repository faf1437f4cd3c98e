"""The agreement that a final value changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError

if TYPE_CHECKING:
    import datetime as dt

KINDS = ("policy", "estimate", "error", "source")


@dataclass(frozen=True, slots=True)
class Restatement:
    """Somebody's agreement that final values of a range of periods change.

    Args:
        start: the first instant.
        end: the instant after the last one.
        kind: policy, estimate, error or source.
        reason: why, in words that a reader of the figure understands.
        approver: who agreed: the owner or a delegate, and not the author.
        ticket: where it was discussed.
    """

    start: dt.date
    end: dt.date
    kind: str
    reason: str
    approver: str
    ticket: str | None = None

    def check(self) -> None:
        """See that it says what it must; who may approve it is known to `approval`.

        Raises:
            QueryError: its kind is unknown, or it lacks a reason or an approver.
        """
        if self.kind not in KINDS:
            raise QueryError(f"A restatement is of kind {', '.join(KINDS)}; not '{self.kind}'.")
        if not self.reason.strip() or not self.approver.strip():
            raise QueryError("A restatement needs a reason and an approver.")

    def details(self) -> dict[str, Any]:
        """What the ledger keeps of it."""
        return {
            "kind": self.kind, "reason": self.reason, "approver": self.approver,
            "ticket": self.ticket, "from": str(self.start), "until": str(self.end),
        }  # fmt: skip
