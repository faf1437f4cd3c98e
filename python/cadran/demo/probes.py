"""The small tables of the platform: services, incidents, deployments, and the uptime probes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .columns import ids, integers, times, words, write
from .plan import MINUTE, Ints, Plan
from .world import CAUSES, SERVICES, SEVERITIES

if TYPE_CHECKING:
    from pathlib import Path

    from .operations import Incident, Operations

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
    made = np.array([b - a for a, b, _ in spans], dtype=np.int64)
    failed = np.array([down[a:b, s].sum() for a, b, s in spans], dtype=np.int64)
    return made, failed


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
