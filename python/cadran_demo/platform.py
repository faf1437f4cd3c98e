"""Deployments and incidents, and how hard each incident hits what depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cadran_demo.arrow import ids, integers, times, words, write
from cadran_demo.world import (
    CAUSES,
    CHECKOUT,
    DAY,
    FRIDAY,
    HOUR,
    MINUTE,
    OFFICE_DAY,
    PUBLIC_API,
    SATURDAY,
    SEARCH,
    SECOND,
    SERVICES,
    SEVERITIES,
    SHOP_DAY,
    STOREFRONT,
    TIMEOUT_SHARE,
    Flags,
    Ints,
    Plan,
    clock,
    holidays,
    promotion_factor,
    weekdays,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.random import Generator


DEPLOYMENTS_PER_DAY = 1.95
FAILED_SHARE = 0.08
_FREEZE = 353  # day of the year from which nothing is deployed until January the 2nd
# No two incidents come closer than this, so that the effects of each can be told apart.
QUIET = 20 * HOUR

# By severity: share of requests that fail, slower by, share of probes that fail, tickets of an
# hour in daytime at full size, and how much of the satisfaction of those who were hit is lost.
_ERROR_RATIO = ((0.25, 0.55), (0.06, 0.18), (0.008, 0.03))
_SLOWER = ((2.5, 4.5), (1.8, 2.8), (1.2, 1.6))
_PROBES_DOWN = (0.90, 0.30, 0.0)
_TICKETS = (90.0, 30.0, 7.0)
_MOOD = (0.90, 0.60, 0.25)


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident and its true size. Severity 0 is sev1; instants are in UTC."""

    service: int
    severity: int
    cause: int
    started: int
    detected: int
    acknowledged: int
    restored: int
    error_ratio: float
    slower: float
    conversion_loss: float

    @property
    def hours(self) -> float:
        """How long it hurt."""
        return (self.restored - self.started) / HOUR

    @property
    def timeout_share(self) -> float:
        """Share of its failed requests that got no answer at all."""
        return TIMEOUT_SHARE[self.cause]

    @property
    def probes_down(self) -> float:
        """Chance that a probe fails."""
        return _PROBES_DOWN[self.severity]

    @property
    def mood(self) -> float:
        """Weight of the bad mood in the answers of those who were hit; 0 is no effect."""
        return _MOOD[self.severity]

    @property
    def tickets(self) -> float:
        """Tickets expected because of it, at full size."""
        hour = self.started % DAY / HOUR
        daytime = SHOP_DAY[int(hour)] / np.mean(SHOP_DAY)
        expected = _TICKETS[self.severity] * SERVICES[self.service].tickets * self.hours**0.7
        return float(expected * (0.35 + 0.65 * daytime))


@dataclass(frozen=True, slots=True)
class Operations:
    """All incidents by start, and all deployments by time (`incident` is -1 where none)."""

    incidents: list[Incident]
    service: Ints
    deployed: Ints
    failed: Flags
    incident: Ints


class _Spot(NamedTuple):
    """When and where an incident strikes, before its course is drawn."""

    started: int
    service: int
    cause: int | None = None
    severity: int | None = None
    minutes: float | None = None
    deployment: int = -1


def _deployments(plan: Plan) -> tuple[Ints, Ints, Flags]:
    rng = plan.stream("deployments")
    weekday = weekdays(plan)
    per_day = np.where(weekday == FRIDAY, 0.6, 1.1) * DEPLOYMENTS_PER_DAY  # fewer on Fridays
    year_day = (plan.days - plan.days.astype("datetime64[Y]")).astype(np.int64)
    frozen = (promotion_factor(plan, "sessions") > 1) | (year_day >= _FREEZE) | (year_day <= 1)
    per_day[(weekday >= SATURDAY) | holidays(plan) | frozen] = 0
    day = np.repeat(np.arange(len(plan.days)), rng.poisson(per_day))
    deployed = np.sort(plan.instant(day, 9.5 * 3600 + rng.beta(1.6, 1.8, len(day)) * 8 * 3600))
    weights = np.array([s.deployments for s in SERVICES])
    service = rng.choice(len(SERVICES), len(day), p=weights / weights.sum())
    return service.astype(np.int64), deployed, rng.random(len(day)) < FAILED_SHARE


def _fixed_spots(plan: Plan) -> list[_Spot]:
    """Four incidents every demo has: three grave ones in daytime, one of this week."""

    def afternoon(share: float, hour: int) -> int:
        return int(plan.midnights[int(len(plan.days) * share)]) + hour * HOUR + 7 * MINUTE

    last_days = int(plan.midnights[-6]) + 14 * HOUR + 12 * MINUTE
    return [
        _Spot(afternoon(0.58, 16), CHECKOUT, CAUSES.index("database"), 0, 154),
        _Spot(afternoon(0.72, 17), STOREFRONT, CAUSES.index("capacity"), 0, 121),
        _Spot(afternoon(0.85, 15), SEARCH, CAUSES.index("dependency"), 1, 203),
        _Spot(last_days, PUBLIC_API, CAUSES.index("configuration"), 1, 48),
    ]


def _drawn_spots(
    plan: Plan, rng: Generator, service: Ints, deployed: Ints, failed: Flags
) -> Iterator[_Spot]:
    """Incidents of deployments first, then those that come by themselves."""
    for place in rng.permutation(np.flatnonzero(failed))[: int(failed.sum() * 0.2) + 1]:
        after = int(rng.integers(1 * 60, 22 * 60)) * SECOND
        yield _Spot(
            int(deployed[place]) + after, int(service[place]), CAUSES.index("deployment"),
            deployment=int(place),
        )  # fmt: skip
    weights = np.array([s.incidents for s in SERVICES])
    while True:
        where = int(rng.choice(len(SERVICES), p=weights / weights.sum()))
        shape = OFFICE_DAY if where == PUBLIC_API else SHOP_DAY
        day = rng.integers(0, len(plan.days) - 1, 1)
        yield _Spot(int(plan.instant(day, clock(rng, 1, shape))[0]), where)


def _course(rng: Generator, spot: _Spot) -> Incident:
    """Draw how an incident goes."""
    severity, cause, minutes = spot.severity, spot.cause, spot.minutes
    if severity is None:
        severity = int(rng.choice(3, p=(0.14, 0.36, 0.50)))
    if cause is None:
        cause = 1 + int(rng.choice(5, p=(0.26, 0.26, 0.14, 0.20, 0.14)))
    if minutes is None:
        minutes = float(np.clip(rng.lognormal(np.log((75, 55, 42)[severity]), 0.75), 10, 360))
    length = int(minutes * 60)
    detected = int(min(rng.lognormal(np.log(4 + 3 * severity), 0.6) * 60, length * 0.5))
    acknowledged = detected + int(min(rng.lognormal(np.log(4), 0.5) * 60, length * 0.3))
    loss = SERVICES[spot.service].conversion_loss[severity] * rng.uniform(0.92, 1.08)
    return Incident(
        service=spot.service,
        severity=severity,
        cause=cause,
        started=spot.started,
        detected=spot.started + detected * SECOND,
        acknowledged=spot.started + acknowledged * SECOND,
        restored=spot.started + length * SECOND,
        error_ratio=float(rng.uniform(*_ERROR_RATIO[severity])),
        slower=float(rng.uniform(*_SLOWER[severity])),
        conversion_loss=float(loss),
    )


def draw_operations(plan: Plan) -> Operations:
    """The deployments and incidents of the period."""
    service, deployed, failed = _deployments(plan)
    rng = plan.stream("incidents")
    deployment_count = int(rng.integers(42, 54))
    accepted: list[tuple[Incident, int]] = []

    def consider(spot: _Spot) -> None:
        incident = _course(rng, spot)
        in_time = incident.restored < plan.last_instant - HOUR
        alone = all(
            incident.started > k.restored + QUIET or incident.restored < k.started - QUIET
            for k, _ in accepted
        )
        if in_time and alone:
            accepted.append((incident, spot.deployment))

    for spot in _fixed_spots(plan):
        consider(spot)
    for spot in _drawn_spots(plan, rng, service, deployed, failed):
        if len(accepted) >= deployment_count:
            break
        consider(spot)

    accepted.sort(key=lambda pair: pair[0].started)
    of_deployment = np.full(len(service), -1, dtype=np.int64)
    for number, (_, deployment) in enumerate(accepted):
        if deployment >= 0:
            of_deployment[deployment] = number
    return Operations([i for i, _ in accepted], service, deployed, failed, of_deployment)


PROBE_MINUTES = 5
_SPARSEST = 30  # minutes between the probes of a small demo, at most
_DOWN = 0.0002
_PROBE_MS = (118.0, 142.0, 131.0, 84.0, 109.0)


def _probe_minutes(plan: Plan) -> int:
    """Minutes between two probes: five, more in a smaller demo."""
    steps = (PROBE_MINUTES, 10, 15, 20, _SPARSEST)
    return next((s for s in steps if s * plan.scale >= PROBE_MINUTES), _SPARSEST)


def write_probes(plan: Plan, incidents: list[Incident], folder: Path) -> tuple[Ints, Ints]:
    """Write the probes; return how many there were in each incident and how many failed."""
    rng = plan.stream("probes")
    step = min(_probe_minutes(plan), _SPARSEST) * MINUTE
    first, last = int(plan.utc_midnights[0]), int(plan.utc_midnights[-1]) + 24 * 60 * MINUTE
    moments = np.arange(first, last, step)
    size = (len(moments), len(SERVICES))
    down_chance = np.full(size, _DOWN)
    median = np.broadcast_to(np.array(_PROBE_MS), size).copy()
    spans = []
    for incident in incidents:
        a, b = np.searchsorted(moments, [incident.started, incident.restored])
        down_chance[a:b, incident.service] = incident.probes_down
        median[a:b, incident.service] *= incident.slower
        spans.append((a, b, incident.service))
    down = rng.random(size) < down_chance
    response = np.clip(median * rng.lognormal(0.0, 0.24, size), 8, 9_999)
    service = np.tile(np.arange(len(SERVICES)), len(moments))
    write(
        folder / "probes.parquet",
        {
            "service_id": words(service, [s.service_id for s in SERVICES]),
            "region": words(service, [s.region for s in SERVICES]),
            "probed_at": times(np.repeat(moments, len(SERVICES))),
            "is_up": ~down.ravel(),
            "response_ms": integers(response.ravel(), missing=down.ravel()),
        },
        unique=["probed_at"],
    )
    lengths = np.array([b - a for a, b, _ in spans], dtype=np.int64)
    failed = np.array([down[a:b, s].sum() for a, b, s in spans], dtype=np.int64)
    return lengths, failed


def write_operations(operations: Operations, folder: Path) -> None:
    """Write services, incidents and deployments."""
    write(
        folder / "services.parquet",
        {
            "service_id": [s.service_id for s in SERVICES],
            "service_name": [s.name for s in SERVICES],
            "team": [s.team for s in SERVICES],
            "tier": [s.tier for s in SERVICES],
        },
    )
    incidents = operations.incidents

    def moments(name: str) -> object:
        return times(np.array([getattr(i, name) for i in incidents], dtype=np.int64))

    write(
        folder / "incidents.parquet",
        {
            "incident_id": ids("i", np.arange(len(incidents)) + 1, digits=4),
            "service_id": words([i.service for i in incidents], [s.service_id for s in SERVICES]),
            "severity": words([i.severity for i in incidents], SEVERITIES),
            "started_at": moments("started"),
            "detected_at": moments("detected"),
            "acknowledged_at": moments("acknowledged"),
            "restored_at": moments("restored"),
            "cause": words([i.cause for i in incidents], CAUSES),
        },
    )
    none = operations.incident < 0
    write(
        folder / "deployments.parquet",
        {
            "deployment_id": ids("d", np.arange(len(none)) + 1, digits=5),
            "service_id": words(operations.service, [s.service_id for s in SERVICES]),
            "deployed_at": times(operations.deployed),
            "is_failed": operations.failed,
            "incident_id": ids("i", operations.incident + 1, digits=4, missing=none),
        },
    )
