"""Incidents, deployments and uptime results that other tools post as JSON.

    {"type": "deployment", "deployment_id": "d-81", "service": "checkout",
     "deployed_at": "2026-11-24T09:15:00Z", "is_failed": false}
    {"type": "incident", "incident_id": "i-9", "service": "checkout", "severity": "sev2",
     "started_at": "2026-11-24T09:17:00Z"}
    {"type": "probe", "service": "checkout", "region": "paris", "is_up": true,
     "probed_at": "2026-11-24T09:17:00Z", "response_ms": 81}

One, or a list of them. An incident or deployment that is posted again with more, such as
`restored_at`, is the same one.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from cadran.telemetry.records import Batch, UnreadableError, instant, service_name

if TYPE_CHECKING:
    from cadran.telemetry.records import Rules

_Id = Annotated[str, Field(min_length=1, max_length=200)]
_MOST = 10_000  # events of one body


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    service: _Id


class Deployment(_Event):
    """A deployment of a service to production."""

    type: Literal["deployment"]
    deployment_id: _Id
    deployed_at: AwareDatetime
    is_failed: bool = False
    incident_id: _Id | None = None


class Incident(_Event):
    """An incident of a service."""

    type: Literal["incident"]
    incident_id: _Id
    severity: Literal["sev1", "sev2", "sev3"] | None = None
    cause: Annotated[str, Field(max_length=500)] | None = None
    started_at: AwareDatetime | None = None
    detected_at: AwareDatetime | None = None
    acknowledged_at: AwareDatetime | None = None
    restored_at: AwareDatetime | None = None


class Probe(_Event):
    """The result of an uptime check."""

    type: Literal["probe"]
    region: _Id = "local"
    probed_at: AwareDatetime
    is_up: bool
    response_ms: Annotated[int, Field(ge=0, lt=1 << 31)] | None = None


_TABLES = {"deployment": "deployments", "incident": "incidents", "probe": "probes"}
_ONE = Annotated[Deployment | Incident | Probe, Field(discriminator="type")]
_BODY: TypeAdapter[Any] = TypeAdapter(
    Annotated[list[_ONE], Field(min_length=1, max_length=_MOST)] | _ONE
)


def read(body: bytes, rules: Rules, received: int) -> Batch:
    """Rows from a body of events; all of them, or none.

    Raises:
        UnreadableError: an event says what it must not, or too little.
    """
    try:
        events = _BODY.validate_json(body)
    except ValidationError as problem:
        errors = problem.errors(include_input=False, include_url=False)
        error = max(errors, key=lambda fault: len(fault["loc"]))
        place = ".".join(str(part) for part in error["loc"] if not str(part).startswith("list["))
        raise UnreadableError(f"{place or 'the body'}: {error['msg']}.") from None
    batch = Batch()
    earliest, latest = rules.window(received)
    for event in events if isinstance(events, list) else [events]:
        try:
            row = row_of(event)
        except OverflowError:
            raise UnreadableError("a time lies outside the years that there are.") from None
        if event.type == "probe" and not instant(earliest) <= event.probed_at <= instant(latest):
            batch.reject(rules.outside)
            continue
        batch.tables.setdefault(_TABLES[event.type], []).append(row)
    return batch


def row_of(event: Deployment | Incident | Probe) -> dict[str, Any]:
    """An event as a row of its table; times in UTC, without zone."""
    row = {
        name: _utc(value) if isinstance(value, dt.datetime) else value
        for name, value in event
        if name not in ("type", "service")
    }
    return row | {"service_id": service_name(event.service)}


def _utc(at: dt.datetime) -> dt.datetime:
    return at.astimezone(dt.UTC).replace(tzinfo=None)
