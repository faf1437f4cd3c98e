"""Requests by service, route and minute; in the last days made by adding up single requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cadran_demo.arrow import ids, integers, times, words, write
from cadran_demo.world import (
    BOUNDS_MS,
    LINE_DAYS,
    MINUTE,
    OFFICE_DAY,
    REQUEST_MONTHS,
    ROUTES,
    SERVICES,
    SHOP_DAY,
    Flags,
    Floats,
    Ints,
    Plan,
    growth,
    office_demand,
    shop_demand,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator

    from cadran_demo.platform import Incident

DAY_MINUTES = 1_440
ERROR_5XX, TIMEOUT = 0.00042, 0.00012  # of all requests, on an ordinary day
TIMEOUT_MS = 30_000
_CREATED = 0.5  # share of the POSTs that make something new
_STEADY = 0.42  # share of the requests that come evenly, day and night
_GROWTH = 0.30
_COLUMNS = (
    "request_count", "error_5xx_count", "timeout_count", "error_4xx_count",
    *(f"le_{bound}_count" for bound in BOUNDS_MS), "gt_5000_count",
)  # fmt: skip


@dataclass(slots=True)
class Requests:
    """The truth about requests by incident, and how many rows were written."""

    count: Ints
    bad: Ints
    bad_expected: Floats  # had there been no incident
    minute_rows: int
    line_rows: int


@dataclass(slots=True)
class _Cells:
    """Minutes of routes: when, which route, what can be expected there."""

    minute: Ints  # instants
    route: Ints
    mean: Floats
    error: Floats
    timeout: Floats
    median: Floats
    incident: Ints  # -1 where none


def first_request_day(plan: Plan) -> int:
    """Index of the first day with requests: the first of the month 12 months before the last."""
    return int(plan.months[-REQUEST_MONTHS].start)


def _traffic(plan: Plan) -> Floats:
    """Requests a minute by route, day and hour (UTC), at full size."""
    shop, office = np.sqrt(shop_demand(plan)), office_demand(plan) ** 0.6
    level = growth(plan, _GROWTH)
    rates = np.empty((len(ROUTES), len(plan.days), 24))
    for number, route in enumerate(ROUTES):
        shape = np.array(OFFICE_DAY if route.office else SHOP_DAY, dtype=np.float64)
        hours = np.roll(shape, -1) / shape.mean()  # Paris is an hour or two ahead of UTC
        hours = _STEADY + (1 - _STEADY) * hours
        rates[number] = route.rate * np.outer(level * (office if route.office else shop), hours)
    return rates


def _cells(plan: Plan, rng: Generator, days: slice, incidents: list[Incident]) -> _Cells:
    """The minutes of some days that have traffic at this scale.

    A smaller demo has fewer minutes with requests and fewer requests in each of them.
    """
    minutes = (days.stop - days.start) * DAY_MINUTES
    size = minutes * len(ROUTES)
    share = min(1.0, plan.scale**0.75)
    cell = np.arange(size)
    if share < 1:
        cell = np.flatnonzero(rng.random(size, dtype=np.float32) < share)
    minute, route = np.divmod(cell, len(ROUTES))
    instant = plan.utc_midnights[days.start] + minute * MINUTE
    day, hour = days.start + minute // DAY_MINUTES, minute % DAY_MINUTES // 60
    # Some days are a little worse and slower than others, for no reason anyone knows.
    weather = rng.lognormal(0.0, 0.25, (len(SERVICES), days.stop - days.start))
    service = np.array([r.service for r in ROUTES])[route]
    wobble = weather[service, day - days.start]
    cells = _Cells(
        minute=instant,
        route=route,
        mean=_traffic(plan)[route, day, hour] * (plan.scale / share),
        error=ERROR_5XX * wobble,
        timeout=TIMEOUT * wobble,
        median=np.array([r.median_ms for r in ROUTES])[route] * wobble**0.12,
        incident=np.full(len(cell), -1, dtype=np.int64),
    )
    for number, incident in enumerate(incidents):
        bounds = [incident.started // MINUTE * MINUTE, incident.restored]
        first, last = np.searchsorted(instant, bounds)
        hit = first + np.flatnonzero(service[first:last] == incident.service)
        cells.error[hit] += incident.error_ratio * (1 - incident.timeout_share)
        cells.timeout[hit] += incident.error_ratio * incident.timeout_share
        cells.median[hit] *= incident.slower
        cells.incident[hit] = number
    return cells


def _counters(rng: Generator, cells: _Cells) -> Ints:
    """Draw the counters of each cell: columns as in the table."""
    count = rng.poisson(cells.mean)
    error = rng.binomial(count, cells.error)
    timeout = rng.binomial(count - error, cells.timeout / (1 - cells.error))
    client = rng.binomial(
        count - error - timeout, np.array([r.client_errors for r in ROUTES])[cells.route]
    )
    spread = np.array([r.spread for r in ROUTES])[cells.route]
    # Durations are log-logistic: the share up to x is 1 / (1 + (median / x) ** spread).
    ratio = cells.median[:, None] / np.array(BOUNDS_MS)
    below = 1 / (1 + ratio ** spread[:, None])
    chances = np.diff(below, axis=1, prepend=0.0, append=1.0)
    buckets = rng.multinomial(count - timeout, chances)
    buckets[:, -1] += timeout
    return np.column_stack([count, error, timeout, client, buckets])


def _lines(rng: Generator, cells: _Cells, folder: Path) -> tuple[Ints, int]:
    """Draw single requests, write them, and return the counters that they add up to."""
    count = rng.poisson(cells.mean)
    cell = np.repeat(np.arange(len(count)), count)
    rows = len(cell)
    luck, kind = rng.random(rows), rng.random(rows)
    client = np.array([r.client_errors for r in ROUTES])[cells.route]
    is_error = luck < cells.error[cell]
    is_timeout = ~is_error & (luck < (cells.error + cells.timeout)[cell])
    is_client = ~is_error & ~is_timeout & (kind < client[cell])
    draw = np.maximum(rng.random(rows), 1e-12)
    spread = np.array([r.spread for r in ROUTES])[cells.route][cell]
    duration = np.ceil(cells.median[cell] * (draw / (1 - draw)) ** (1 / spread))
    duration = np.clip(duration, 1, TIMEOUT_MS - 1).astype(np.int64)
    duration[is_timeout] = TIMEOUT_MS

    bucket = np.searchsorted(BOUNDS_MS, duration)  # (previous bound, bound]
    width = len(BOUNDS_MS) + 1
    buckets = np.bincount(cell * width + bucket, minlength=len(count) * width)
    flags = [np.bincount(cell[f], minlength=len(count)) for f in (is_error, is_timeout, is_client)]
    counters = np.column_stack([count, *flags, buckets.reshape(-1, width)])

    is_post = np.array([r.method == "POST" for r in ROUTES])[cells.route][cell]
    status = np.where(is_post & (kind < _CREATED), 201, 200)
    status[is_client] = np.array([400, 401, 404, 429])[(luck[is_client] * 4).astype(np.int64)]
    status[is_error] = np.array([500, 502, 503])[(kind[is_error] * 3).astype(np.int64)]
    status[is_timeout] = 504
    received = cells.minute[cell] + rng.integers(0, 60_000, rows) * 1_000
    order = np.argsort(received, kind="stable")
    route = cells.route[cell][order]
    write(
        folder / "request_lines.parquet",
        {
            "request_id": ids("q", np.arange(rows) + 1, digits=9),
            **_service_and_route(route),
            "received_at": times(received[order]),
            "method": words(route, [r.method for r in ROUTES]),
            "status": integers(status[order]),
            "duration_ms": integers(duration[order]),
            "is_timeout": is_timeout[order],
        },
        unique=["request_id", "received_at"],
    )
    return counters, rows


def _service_and_route(route: Ints) -> dict[str, object]:
    return {
        "service_id": words(route, [SERVICES[r.service].service_id for r in ROUTES]),
        "route": words(route, [r.path for r in ROUTES]),
    }


def draw_requests(plan: Plan, incidents: list[Incident], folder: Path) -> Requests:
    """Draw and write the request counters of 13 months and the requests of the last 7 days."""
    truth = Requests(
        count=np.zeros(len(incidents), dtype=np.int64),
        bad=np.zeros(len(incidents), dtype=np.int64),
        bad_expected=np.zeros(len(incidents)),
        minute_rows=0,
        line_rows=0,
    )
    lines_from = len(plan.days) - LINE_DAYS
    parts: dict[int, list[tuple[_Cells, Ints]]] = {}
    for month in plan.months[-REQUEST_MONTHS:]:
        name = int(plan.month_of_day[month.start])
        days = slice(month.start, min(month.stop, lines_from))
        if days.stop > days.start:
            rng = plan.stream("requests", name)
            cells = _cells(plan, rng, days, incidents)
            parts[name] = [(cells, _counters(rng, cells))]
        if month.stop == len(plan.days):
            rng = plan.stream("request_lines")
            cells = _cells(plan, rng, slice(lines_from, month.stop), incidents)
            counters, truth.line_rows = _lines(rng, cells, folder)
            for at, of_month in _by_month(cells.minute):
                part = _Cells(**{f: getattr(cells, f)[at] for f in cells.__slots__})
                parts.setdefault(of_month, []).append((part, counters[at]))
        # The last month but one waits: the last seven days may reach into it.
        done = [m for m in parts if m < name - 1 or month.stop == len(plan.days)]
        for parts_done in sorted(done):
            _write_month(parts_done, parts.pop(parts_done), truth, folder)
    return truth


def _by_month(instant: Ints) -> list[tuple[Flags, int]]:
    month = instant.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    return [(month == m, int(m)) for m in np.unique(month)]


def _write_month(
    month: int, parts: list[tuple[_Cells, Ints]], truth: Requests, folder: Path
) -> None:
    counters = np.concatenate([counters for _, counters in parts])
    minute = np.concatenate([cells.minute for cells, _ in parts])
    route = np.concatenate([cells.route for cells, _ in parts])
    incident = np.concatenate([cells.incident for cells, _ in parts])
    for number in np.unique(incident[incident >= 0]):
        hit = counters[incident == number]
        truth.count[number] += hit[:, 0].sum()
        truth.bad[number] += hit[:, 1:3].sum()
        truth.bad_expected[number] += hit[:, 0].sum() * (ERROR_5XX + TIMEOUT)
    has_requests = counters[:, 0] > 0
    text = str(np.datetime64(month, "M"))
    truth.minute_rows += write(
        folder / "requests" / f"month={text}" / "part.parquet",
        {
            **_service_and_route(route[has_requests]),
            "minute_at": times(minute[has_requests]),
            **{name: integers(counters[has_requests, n]) for n, name in enumerate(_COLUMNS)},
        },
    )
