"""How `cadran collect` runs: `cadran_collect.yml`, then the flags of the command.

    host: 127.0.0.1
    port: 4318
    tls: {certificate: server.pem, key: server.key}
    tokens: cadran_tokens.json
    folder: data/landed
    requests_from: traces           # of a service that says nothing else: traces, metrics or logs
    sampled: refuse                 # or weigh: a span kept with 1 in 10 then counts as ten
    services:
      - {name: checkout, team: payments, tier: critical, requests_from: metrics}
    metrics:
      - {name: http_request_duration_seconds, service: job, route: handler, status: code}
    logs:
      - {path: /var/log/nginx/access.log, service: web}
    checks:
      - {service: checkout, http: "https://shop.example.com/health", every: 60}
      - {service: checkout, tls: "shop.example.com:443", days: 14}
    limits: {body: 16, memory: 256, disk: 1024}
    keep: {requests: 400, request_lines: 7, probes: 400, late: 48}

Every key may be left out. Unknown keys are errors.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cadran.errors import ProjectError
from cadran.formats import strict_yaml

FILE = "cadran_collect.yml"
MEGABYTE = 1 << 20
Origin = Literal["traces", "metrics", "logs"]
Name = Field(min_length=1, max_length=200)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(_Strict):
    """PEM files of certificate and key."""

    certificate: Path
    key: Path


class Service(_Strict):
    """What is known of a service beforehand; one that nobody named is `standard`.

    Attributes:
        name: as its telemetry says it (`service.name`).
        team: who runs it.
        tier: how much hangs on it.
        requests_from: the one signal that its requests are counted from.
        sampling: the share of its traces that its SDK keeps, where spans do not say so themselves.
    """

    name: str = Name
    team: str = "unassigned"
    tier: Literal["critical", "standard"] = "standard"
    requests_from: Origin | None = None
    sampling: float | None = Field(default=None, gt=0, le=1)


class Mapping(_Strict):
    """A counter or histogram that counts requests, and which of its attributes say what.

    Attributes:
        name: of the metric, without `_bucket` or `_count`.
        service: the attribute that names the service; OTLP has it from the resource.
        route: the attribute of the route.
        status: the attribute of the HTTP status.
        unit: of a histogram whose metric does not say it.
    """

    name: str = Name
    service: str | None = None
    route: str = "http.route"
    status: str = "http.response.status_code"
    unit: Literal["s", "ms"] = "s"


class LogFile(_Strict):
    """An access log that is followed."""

    path: Path
    service: str = Name


class Check(_Strict):
    """An uptime check: one of `http`, `tcp` and `tls`.

    Attributes:
        service: the service that is up or down.
        http: an address; up is an answer with a status below 400.
        tcp: a host and port; up is a connection.
        tls: a host and port; up is a certificate that holds and goes on for `days` days.
        region: where it is checked from.
        every: seconds between two checks.
        timeout: seconds that an answer may take.
        days: days that a certificate must go on for.
    """

    service: str = Name
    http: str | None = Field(default=None, pattern=r"^https?://[^/\s]+")
    tcp: str | None = Field(default=None, pattern=r"^.+:\d+$")
    tls: str | None = Field(default=None, pattern=r"^.+:\d+$")
    region: str = Field(default="local", min_length=1)
    every: float = Field(default=60, ge=1)
    timeout: float = Field(default=10, gt=0, le=300)
    days: float = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _one_kind(self) -> Check:
        if sum(kind is not None for kind in (self.http, self.tcp, self.tls)) != 1:
            raise ValueError("a check has exactly one of http, tcp and tls")
        return self


class Limits(_Strict):
    """What may be taken in; megabytes but for `header`, `series` and `bodies`.

    Attributes:
        body: of one request, unpacked.
        memory: bodies that are not landed yet; beyond it senders get 429.
        disk: free space that has to be left; below it senders get 503.
        header: bytes of a request's headers.
        series: cumulative series whose last value is known.
        bodies: requests that are worked on at the same time.
    """

    body: float = Field(default=16, gt=0)
    memory: float = Field(default=256, gt=0)
    disk: float = Field(default=1024, ge=0)
    header: int = Field(default=16_384, ge=1024)
    series: int = Field(default=200_000, ge=1)
    bodies: int = Field(default=256, ge=1)


class Keep(_Strict):
    """Days for which landed rows are kept, and hours for which events may come late.

    Attributes:
        requests: minutes of requests.
        request_lines: single requests; 0 lands none.
        probes: uptime checks.
        late: hours; an older event is refused.
        retries: hours in which a body that comes again is known.
    """

    requests: int = Field(default=400, ge=1)
    request_lines: int = Field(default=7, ge=0)
    probes: int = Field(default=400, ge=1)
    late: float = Field(default=48, gt=0)
    retries: float = Field(default=2, gt=0)


class Settings(_Strict):
    """How a collector runs.

    Attributes:
        flush: seconds from a segment's first record to its Parquet files.
        compact: seconds between two compactions.
        settle: seconds after the end of a minute until it is given to the build.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=4318, ge=0, le=65535)
    tls: Tls | None = None
    tokens: Path = Path("cadran_tokens.json")
    insecure: bool = False
    hosts: tuple[str, ...] = ()
    folder: Path = Path("data/landed")
    requests_from: Origin = "traces"
    sampled: Literal["refuse", "weigh"] = "refuse"
    services: tuple[Service, ...] = ()
    metrics: tuple[Mapping, ...] = ()
    logs: tuple[LogFile, ...] = ()
    checks: tuple[Check, ...] = ()
    limits: Limits = Limits()
    keep: Keep = Keep()
    flush: float = Field(default=1.0, gt=0, le=60)
    compact: float = Field(default=30.0, gt=0)
    settle: float = Field(default=10.0, ge=0)

    @model_validator(mode="after")
    def _no_two_ways(self) -> Settings:
        for kind, names in (
            ("services", [service_id(service.name) for service in self.services]),
            ("metrics", [mapping.name for mapping in self.metrics]),
            ("logs", [str(log.path) for log in self.logs]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{kind} names {', '.join(twice)} more than once")
        return self


def service_id(name: str) -> str:
    """The id of a service: its name in lower case, with underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:200]


def read(root: Path, flags: dict[str, Any], *, runs: bool = True) -> Settings:
    """The settings of a collector.

    Args:
        root: the folder that paths in the file are relative to.
        flags: what the command line says; None means nothing.
        runs: whether a collector will run by them, which needs the files that they name.

    Raises:
        ProjectError: a key is unknown, holds what it cannot hold, or names a file that lacks.
    """
    path = root / FILE
    content = strict_yaml.read(path, ProjectError) if path.exists() else None
    values = {name: value for name, value in flags.items() if value is not None}
    if content is None or isinstance(content, dict):
        content = {**(content or {}), **values}
    settings = strict_yaml.parsed_as(Settings, content, str(path), ProjectError)
    placed: dict[str, Any] = {"folder": root / settings.folder, "tokens": root / settings.tokens}
    # Without tokens anybody on this machine may send: who named a file meant it.
    is_named = "tokens" in settings.model_fields_set or placed["tokens"].is_symlink()
    named = {"tokens": placed["tokens"]} if is_named else {}
    if settings.tls:
        files = {"certificate": root / settings.tls.certificate, "key": root / settings.tls.key}
        placed["tls"] = Tls(**files)
        named |= files
    for key, place in named.items():
        if runs and not place.exists():
            raise ProjectError(f"{key} of the collector names {place}, which does not exist.")
    return settings.model_copy(update=placed)
