"""The record of questions: one entry a question, answered or refused."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """One question.

    Attributes:
        caller: who asked.
        protocol: `rest`, `graphql`, `flight` or `mcp`.
        kind: `query`, `values`, `sql` (compiled only) or `tables`.
        metrics: what was asked, with its version where it is a KPI: `net_revenue@2`.
        group_by: dimensions and grains.
        where: filters as asked, before those of the role.
        outcome: `answered`, `refused`, `failed`, `limited` or `stopped`.
        reason: why it was not answered.
        role: the role under which it was allowed.
        rows: of the answer.
        seconds: it took.
        cached: whether the answer was kept from before.
        at: when, in UTC.
    """

    caller: str
    protocol: str
    kind: str
    metrics: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    outcome: str = "answered"
    reason: str = ""
    role: str | None = None
    token: str | None = None
    rows: int = 0
    seconds: float = 0.0
    cached: bool = False
    at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))


class Audit(Protocol):
    """What keeps the record."""

    def write(self, entry: Entry) -> None:
        """Keep one entry; it is on disk soon after, and whole."""

    def close(self) -> None:
        """Write what waits."""


class NoAudit:
    """Keeps nothing, for a desk that serves its own process."""

    def write(self, entry: Entry) -> None:
        """Keep nothing."""

    def close(self) -> None:
        """Nothing waits."""
