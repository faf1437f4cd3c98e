"""The one state machine of alerts: what a condition that holds, or not, makes of an alert.

    inactive ──► pending ──► firing ──► keep firing ──► resolved
        ▲           │           ▲            │              │
        └───────────┘           └────────────┘              └──► pending, firing

It is Prometheus's: with `pending_for` of 0 an alert fires at once; `keep_firing_for` counts from
the first evaluation at which the condition did not hold.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

_AT_ONCE = dt.timedelta()


class State(StrEnum):
    """Where an alert stands."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    KEEP_FIRING = "keep firing"
    RESOLVED = "resolved"

    @property
    def is_firing(self) -> bool:
        """Whether somebody is to know of it."""
        return self in {State.FIRING, State.KEEP_FIRING}


@dataclass(frozen=True, slots=True)
class Key:
    """What tells one alert from another: the rule, what it watches, and the tier of a burn."""

    rule: str
    subject: str
    tier: str = ""

    def __str__(self) -> str:
        """As people name it: `budget_burn/availability_28d:checkout/fast`."""
        return "/".join(part for part in (self.rule, self.subject, self.tier) if part)


@dataclass(frozen=True, slots=True)
class Observation:
    """Whether a condition holds at an instant, and what says so.

    Attributes:
        key: of the alert.
        at: the end of the last minute or period that it is about, in UTC.
        holds: whether the condition holds.
        severity: how much it matters when it does.
        values: the numbers behind it, as JSON has them.
        versions: what computed them: version of the KPI, hash of the definitions and of the rule.
    """

    key: Key
    at: dt.datetime
    holds: bool
    severity: str = "ticket"
    values: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as it stands.

    Attributes:
        state: inactive, pending, firing, keep firing or resolved.
        at: up to when it is evaluated.
        active_at: since when its condition holds.
        fired_at: when it last began to fire.
        quiet_at: since when the condition of a firing alert does not hold.
        resolved_at: when it last ceased to fire.
    """

    state: State = State.INACTIVE
    at: dt.datetime | None = None
    active_at: dt.datetime | None = None
    fired_at: dt.datetime | None = None
    quiet_at: dt.datetime | None = None
    resolved_at: dt.datetime | None = None


def advance(
    alert: Alert,
    observation: Observation,
    *,
    pending_for: dt.timedelta = _AT_ONCE,
    keep_firing_for: dt.timedelta = _AT_ONCE,
) -> Alert:
    """The alert after an evaluation.

    Args:
        alert: as it stood.
        observation: what is seen; not earlier than what the alert has seen.
        pending_for: how long the condition has to hold until it fires.
        keep_firing_for: how long it fires on after the condition ceased to hold.
    """
    alert = replace(alert, at=observation.at)
    if observation.holds:
        return _holding(alert, observation.at, pending_for)
    return _quiet(alert, observation.at, keep_firing_for)


def _holding(alert: Alert, at: dt.datetime, pending_for: dt.timedelta) -> Alert:
    if alert.state.is_firing:
        return replace(alert, state=State.FIRING, quiet_at=None)
    active_at = at
    if alert.state is State.PENDING and alert.active_at is not None:
        active_at = alert.active_at
    if at - active_at >= pending_for:
        return replace(alert, state=State.FIRING, active_at=active_at, fired_at=at)
    return replace(alert, state=State.PENDING, active_at=active_at)


def _quiet(alert: Alert, at: dt.datetime, keep_firing_for: dt.timedelta) -> Alert:
    if alert.state.is_firing:
        quiet_at = alert.quiet_at or at
        if at - quiet_at < keep_firing_for:
            return replace(alert, state=State.KEEP_FIRING, quiet_at=quiet_at)
        return replace(alert, state=State.RESOLVED, resolved_at=at, active_at=None, quiet_at=None)
    if alert.state is State.PENDING:
        return replace(alert, state=State.INACTIVE, active_at=None)
    return alert
