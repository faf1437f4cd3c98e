"""The past under another objective or policy: what would have fired, and what it had caught."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadran.errors import QueryError
from cadran.reliability import status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from cadran.core.layer import Layer
    from cadran.reliability.burn import Tier

_MINUTE = dt.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Firing:
    """A stretch in which a tier fired; it had not ended yet where `ended_at` is None."""

    tier: str
    severity: str
    fired_at: dt.datetime
    ended_at: dt.datetime | None
    long_burn_rate: float
    short_burn_rate: float


@dataclass(frozen=True, slots=True)
class Incident:
    """A known incident and the first firing during it, if there was one."""

    incident_id: str
    severity: str
    started_at: dt.datetime
    restored_at: dt.datetime | None
    caught_by: str | None
    minutes_to_alert: float | None


@dataclass(frozen=True, slots=True)
class Replay:
    """What would have been."""

    slo_id: str
    target: Decimal
    policy: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    firings: tuple[Firing, ...]
    incidents: tuple[Incident, ...]

    @property
    def caught(self) -> int:
        """How many of the known incidents an alert fell into."""
        return sum(incident.caught_by is not None for incident in self.incidents)

    @property
    def false_alarms(self) -> int:
        """Firings that fell into no known incident."""
        return sum(
            not any(_during(firing, incident) for incident in self.incidents)
            for firing in self.firings
        )


def simulate(
    layer: Layer,
    slo_id: str,
    *,
    target: Decimal | None = None,
    policy: str | None = None,
    days: int = 90,
) -> Replay:
    """Replay the last days of an SLO, each minute judged at its end, net of exclusions.

    Raises:
        UnknownNameError: there is no such SLO or policy.
        QueryError: the SLO is a composite, has no data, the target is no share, or there is no day.
    """
    slos = [slo for slo in status.statuses(layer, [slo_id]) if slo.slo_id == slo_id]
    if not slos:
        listed = ", ".join(slo.slo_id for slo in status.statuses(layer, [slo_id]))
        raise QueryError(f"SLO '{slo_id}' has several subjects: name one of {listed}.")
    slo = slos[0]
    if slo.is_composite or slo.as_of is None or slo.target is None:
        raise QueryError(f"SLO '{slo_id}' is a composite or has no data: name one of its members.")
    if days < 1:
        raise QueryError(f"The past is replayed over one day or more; this is {days}.")
    if target is not None and not 0 < target < 1:
        raise QueryError(f"A target lies between 0 and 1, both excluded; this is {target}.")
    own = status.tiers(layer).get(slo_id, [])
    if policy is None:
        tiers = own
    else:
        period = own[0].period_minutes if own else slo.window_minutes or 43_200
        tiers = status.policy(layer, policy, period)
    starts_at = slo.as_of - dt.timedelta(days=days)
    firings = sorted(
        (
            firing
            for tier in tiers
            for firing in _firings(
                tier,
                status.replay(
                    layer, slo_id, tier, target=target, starts_at=starts_at, ends_at=slo.as_of
                ),
            )
        ),
        key=lambda firing: firing.fired_at,
    )
    rows = status.incidents(layer, slo.subject, starts_at, slo.as_of)
    return Replay(
        slo_id=slo_id,
        target=slo.target if target is None else target,
        policy=policy or (own[0].policy if own else ""),
        starts_at=starts_at,
        ends_at=slo.as_of,
        firings=tuple(firings),
        incidents=tuple(_judged(row, firings) for row in rows),
    )


def _firings(tier: Tier, changes: list[dict[str, object]]) -> Iterator[Firing]:
    begun: dict[str, object] | None = None
    for change in [*changes, None]:
        if change is not None and change["is_firing"]:
            begun = change
            continue
        if begun is not None:
            yield Firing(
                tier.tier, tier.severity,
                fired_at=_after(begun["minute_at"]),
                ended_at=_after(change["minute_at"]) if change else None,
                long_burn_rate=float(str(begun["long_burn_rate"])),
                short_burn_rate=float(str(begun["short_burn_rate"])),
            )  # fmt: skip
            begun = None


def _after(minute: object) -> dt.datetime:
    """A minute is judged when it is over."""
    assert isinstance(minute, dt.datetime)  # noqa: S101 - the warehouse's timestamp
    return minute + _MINUTE


def _judged(row: dict[str, object], firings: list[Firing]) -> Incident:
    incident = Incident(
        incident_id=str(row["incident_id"]),
        severity=str(row["severity"]),
        started_at=row["started_at"],  # type: ignore[arg-type]
        restored_at=row["restored_at"],  # type: ignore[arg-type]
        caught_by=None,
        minutes_to_alert=None,
    )
    for firing in firings:
        if _during(firing, incident):
            late = max(firing.fired_at - incident.started_at, dt.timedelta()).total_seconds() / 60
            return Incident(
                incident.incident_id, incident.severity, incident.started_at,
                incident.restored_at, firing.tier, round(late, 1),
            )  # fmt: skip
    return incident


def _during(firing: Firing, incident: Incident) -> bool:
    """Whether a firing began while the incident lasted."""
    if firing.fired_at < incident.started_at:
        return False
    return incident.restored_at is None or firing.fired_at <= incident.restored_at + _MINUTE
