"""The tables of the telemetry contract, made from what was read of the access logs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cadran.core.project import contracts
from cadran.core.warehouse.dialects import literal
from cadran.errors import CadranError, ProjectError
from cadran.telemetry.records import BOUNDS, ROUTES

try:
    import fcntl
except ImportError:  # no such lock on this system: one ingest at a time is then up to its caller
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.core.warehouse.duckdb_local import Scratch

DAYS_OF_LINES = 7


class OccupiedError(CadranError, FileExistsError):
    """The folder holds a table that did not come from access logs."""


@dataclass(frozen=True, slots=True)
class Service:
    """The row of `telemetry.services`."""

    service_id: str
    name: str
    team: str
    tier: str


def write(
    scratch: Scratch,
    out: Path,
    service: Service,
    *,
    project_dir: Path | None,
) -> None:
    """Write the service, its counters and its last lines, and the other tables empty."""
    folder, own = out / "telemetry", f"{service.service_id}.parquet"
    scratch.execute(_lines(out / "access_log" / service.service_id, service))
    scratch.copy(_requests(), folder / "requests" / own)
    scratch.copy(
        "select request_id, service_id, route, received_at, method, status, duration_ms, "
        "is_timeout from lines where received_at >= (select date_trunc('day', max(received_at)) "
        f"from lines) - interval {DAYS_OF_LINES - 1} day order by received_at, request_id",
        folder / "request_lines" / own,
    )
    row = (service.service_id, service.name, service.team, service.tier)
    names = ("service_id", "service_name", "team", "tier")
    columns = [f"{literal(value)} as {name}" for name, value in zip(names, row, strict=True)]
    scratch.copy(f"select {', '.join(columns)}", folder / "services" / own)
    if project_dir is not None:
        _write_empty(scratch, out, project_dir)


def _lines(parts: Path, service: Service) -> str:
    """Every request of the service; the routes beyond the most frequent ones are `other`."""
    pattern = literal(str(parts / "*.parquet"))
    return f"""
        create or replace temp table lines as
        with requests as (
            select *, parse_filename(filename, true) as log
            from read_parquet({pattern}, filename = true)
        ),

        routes as (
            select route from requests group by route order by count(*) desc, route limit {ROUTES}
        )

        select
            requests.log || '-' || requests.line_number as request_id,
            {literal(service.service_id)} as service_id,
            coalesce(routes.route, 'other') as route,
            requests.received_at,
            requests.method,
            requests.status,
            requests.duration_ms,
            false as is_timeout
        from requests
        left join routes on requests.route = routes.route
    """


def _requests() -> str:
    """Counters by minute; buckets only where every request of the minute has a duration.

    A log tells a gateway's timeout by its status 504, which is a 5xx: `timeout_count` is 0.
    """
    buckets = []
    for lower, upper in zip((-1, *BOUNDS), (*BOUNDS, None), strict=True):
        inside = f"duration_ms > {lower}" + (f" and duration_ms <= {upper}" if upper else "")
        name = f"le_{upper}_count" if upper else f"gt_{BOUNDS[-1]}_count"
        buckets.append(
            f"case when count(duration_ms) = count(*) then count(*) filter (where {inside}) end "
            f"as {name}"
        )
    return f"""
        select
            service_id,
            route,
            date_trunc('minute', received_at) as minute_at,
            count(*) as request_count,
            count(*) filter (where status >= 500) as error_5xx_count,
            cast(0 as bigint) as timeout_count,
            count(*) filter (where status between 400 and 499) as error_4xx_count,
            {", ".join(buckets)}
        from lines
        group by all
        order by minute_at, route
    """


def _write_empty(scratch: Scratch, out: Path, project_dir: Path) -> None:
    """Write the contract's other telemetry tables without a row, so that the domain builds."""
    try:
        tables = contracts.load(project_dir, {"cadran_domains": ["platform"]}).tables
    except ProjectError:
        return  # a folder of data is wanted, and there is no project to build it with
    for table in tables:
        if table.source == "telemetry" and contracts.find_files(str(out), table, Path()) is None:
            columns = ", ".join(
                f"cast(null as {column.data_type}) as {column.name}" for column in table.columns
            )
            file = out / table.source / f"{table.name}.parquet"
            scratch.copy(f"select {columns} where false", file)


def refuse_foreign(out: Path) -> None:
    """Refuse a folder whose tables came from elsewhere: the build would not see the new ones.

    Raises:
        OccupiedError: the folder has such a table.
    """
    for table in ("services", "requests", "request_lines"):
        for ending in contracts.READERS:
            file = out / "telemetry" / f"{table}{ending}"
            if file.exists():
                raise OccupiedError(
                    f"{file} was not made from access logs: name another folder with --out."
                )
    if (out / "_demo.json").exists():
        raise OccupiedError(f"{out} holds the demo data: name another folder with --out.")


@contextlib.contextmanager
def only_one(out: Path) -> Iterator[None]:
    """Let one process at a time write to the folder; others wait."""
    (out / "access_log").mkdir(parents=True, exist_ok=True)
    with (out / "access_log" / ".lock").open("w") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
