"""Who asks: a name, roles, and what they may spend."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from cadran.formats.validation import Strict, above_0

SCOPES = ("query", "metadata", "admin", "collect")


@dataclass(frozen=True, slots=True)
class Limits(Strict):
    """What one caller may spend; None is no limit.

    Attributes:
        per_minute: questions in a minute, cached ones included.
        rows: of one answer.
        seconds: that one question may run.
        megabytes: of one answer, as Arrow.
        at_once: questions that run at the same time.
    """

    per_minute: Annotated[int, above_0()] | None = None
    rows: Annotated[int, above_0()] | None = None
    seconds: Annotated[float, above_0(fraction=True)] | None = None
    megabytes: Annotated[float, above_0(fraction=True)] | None = None
    at_once: Annotated[int, above_0()] | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """One who asks, as a token, a login or this machine says.

    Attributes:
        name: a person or a program; it stands in the record of questions.
        roles: names of roles in the policy, in the order in which they are tried.
        scopes: of `query`, `metadata`, `admin` and `collect` (send telemetry).
        limits: what it may spend.
        token: the identifier of the token, never the token itself; None without one.
    """

    name: str
    roles: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset(SCOPES)
    limits: Limits = field(default_factory=Limits)
    token: str | None = None


LOCAL = Caller("local")
