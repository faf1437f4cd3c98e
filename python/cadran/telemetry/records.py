"""What is read of a body, and the rows of one segment that it becomes.

Buckets are held as `at most` counts while they are added up, with `gaps`: how many requests of the
cell lack a bucket. A minute has buckets in the end where its gaps are 0, and none otherwise, so
that no bucket is ever guessed. A Prometheus histogram comes as one series a bound: its count adds
eight gaps and each of the eight bounds takes one away.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from cadran.telemetry.settings import service_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cadran.telemetry.settings import Origin, Settings

SECOND = 1_000_000_000  # nanoseconds
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
MILLISECOND = 1_000_000
BOUNDS = (50, 100, 200, 300, 500, 1000, 2500, 5000)  # milliseconds, those of the contract
BOUNDS_NS = tuple(bound * MILLISECOND for bound in BOUNDS)
AT_MOST = tuple(f"at_most_{bound}" for bound in BOUNDS)
COUNTS = ("request_count", "error_5xx_count", "timeout_count", "error_4xx_count")
CELL = (*COUNTS, *AT_MOST, "gaps")
GAPS = len(CELL) - 1
# The cells that count a duration by the first bound that it does not exceed.
_REACHED = [range(len(COUNTS) + first, GAPS) for first in range(len(BOUNDS) + 1)]
ROUTES = 200  # of a service; further ones are `other`
NO_ROUTE = "(no route)"
SERVER_ERROR, CLIENT_ERROR, NO_STATUS = 500, 400, 600
MOST = (1 << 31) - 1  # requests in one entry, as the contract's integers hold
_AHEAD = HOUR  # a clock may be ahead by so much
_REASONS = 100
_NAME = 500  # characters of a route, a method, a region


class UnreadableError(ValueError):
    """A body that is not what it says it is; sending it again does not help."""


class Request(NamedTuple):
    """One request, which stands for `weight` of them; only one that stands for itself is a line."""

    service: str
    route: str
    at: int
    method: str | None
    status: int
    duration: int | None
    is_timeout: bool
    weight: int
    key: str


class Point(NamedTuple):
    """One point of a counter or histogram.

    Attributes:
        key: of its series.
        target: what sends it, for a series without a start; empty otherwise.
        start: from when on it counts, in nanoseconds; 0 where it does not say.
        values: count and, of a histogram, each bucket.
        bounds: upper bounds of the buckets in milliseconds.
        le: the one bound that a Prometheus series counts up to; inf is its count.
        is_delta: whether it counts since the point before.
    """

    key: str
    target: str
    service: str
    route: str
    status: int
    is_timeout: bool
    start: int
    time: int
    values: tuple[int, ...]
    bounds: tuple[float, ...] | None
    le: float | None
    is_delta: bool


@dataclass(slots=True)
class Batch:
    """What was read of one body.

    Attributes:
        tables: rows of probes, incidents and deployments.
        offset: path, inode and byte up to which a followed log is read.
        rejected: entries that are refused.
        reasons: why, and what else the sender should know, with how many it concerns.
        ignored: entries that are nothing to count, such as spans of clients.
    """

    requests: list[Request] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    offset: tuple[str, int, int] | None = None
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    ignored: int = 0

    def reject(self, reason: str, count: int = 1) -> None:
        """Refuse entries, and say why."""
        self.rejected += count
        self.note(reason, count)

    def note(self, reason: str, count: int = 1) -> None:
        """Say something about entries that are taken."""
        if reason in self.reasons or len(self.reasons) < _REASONS:
            self.reasons[reason] += count

    @property
    def message(self) -> str:
        """The reasons in one line."""
        return " ".join(f"{count} x {reason}" for reason, count in self.reasons.most_common(5))


class Rules:
    """What settings say of a service, and when an event is too old."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings."""
        self.settings = settings
        self.sampling = {service_id(s.name): s.sampling for s in settings.services if s.sampling}
        self._from: dict[str, Origin] = {service_id(log.service): "logs" for log in settings.logs}
        self._from |= {
            service_id(s.name): s.requests_from for s in settings.services if s.requests_from
        }
        self._late = int(settings.keep.late * HOUR)
        self.max_body = int(settings.limits.body * (1 << 20))

    def origin(self, service: str) -> Origin:
        """The one signal that the requests of a service are counted from."""
        return self._from.get(service, self.settings.requests_from)

    def other_origin(self, service: str, origin: Origin) -> str | None:
        """Why requests of this signal do not count, where they do not."""
        expected = self.origin(service)
        if expected == origin:
            return None
        return (
            f"requests of {service} are counted from {expected}, and would count twice:"
            f" set requests_from: {origin} for it to count these instead."
        )

    def window(self, received: int) -> tuple[int, int]:
        """The instants between which an event of a body may lie."""
        return received - self._late, received + _AHEAD

    @property
    def outside(self) -> str:
        """Why an event outside the window is refused."""
        return f"the time is over {self.settings.keep.late:g} h ago, or over 1 h ahead."


@lru_cache(maxsize=10_000)
def service_name(name: str) -> str:
    """The id of a service by its name; an unnamed one has the id of OpenTelemetry's default."""
    return service_id(name) or "unknown_service"


@lru_cache(maxsize=10_000)
def short(text: str) -> str:
    """A text from outside, within its length and without control characters."""
    return (
        text[:_NAME] if text.isprintable() else "".join(c for c in text[:_NAME] if c.isprintable())
    )


class Rows:
    """The rows of one segment, by table and hour."""

    def __init__(self, *, lines: bool) -> None:
        """Hold nothing yet.

        Args:
            lines: whether single requests are landed too.
        """
        self._lines_wanted = lines
        self.cells: dict[tuple[str, str, int], list[int]] = {}
        self.lines: defaultdict[int, list[Request]] = defaultdict(list)
        self.tables: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)

    def cell(self, service: str, route: str, at: int) -> list[int]:
        """The counters of one service, route and minute."""
        key = (service, route, at - at % MINUTE)
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = [0] * len(CELL)
        return cell

    def count(self, request: Request, route: str) -> None:
        """Count one request."""
        cell = self.cell(request.service, route, request.at)
        weight = request.weight
        _count_status(cell, request.status, request.is_timeout, weight)
        if request.is_timeout:
            pass  # over the last bound, whatever was measured: the contract says so
        elif request.duration is None:
            cell[GAPS] += weight
        else:
            for index in _REACHED[bisect_left(BOUNDS_NS, request.duration)]:
                cell[index] += weight
        if self._lines_wanted and weight == 1:
            line = request if route == request.route else request._replace(route=route)
            self.lines[request.at // HOUR].append(line)

    def count_point(self, point: Point, route: str, delta: tuple[int, ...]) -> bool:
        """Count what a point adds; False where its buckets do not hold the contract's bounds."""
        # Counted where its interval ends: the end itself belongs to the next minute.
        cell = self.cell(point.service, route, point.time - 1)
        count = delta[0]
        if point.le is not None and point.le != float("inf"):
            cell[len(COUNTS) + BOUNDS.index(int(point.le))] += count
            cell[GAPS] -= 1
            return True
        _count_status(cell, point.status, point.is_timeout, count)
        if point.le is not None:
            cell[GAPS] += len(BOUNDS)
            return True
        if point.is_timeout:
            return True
        exact = at_most(point.bounds, delta[1:]) if point.bounds else None
        if exact is None:
            cell[GAPS] += count
            return count == 0
        for index, value in enumerate(exact):
            cell[len(COUNTS) + index] += value
        return True


def _count_status(cell: list[int], status: int, is_timeout: bool, weight: int) -> None:  # noqa: FBT001
    cell[0] += weight
    if is_timeout:
        cell[2] += weight
    elif SERVER_ERROR <= status < NO_STATUS:
        cell[1] += weight
    elif CLIENT_ERROR <= status < SERVER_ERROR:
        cell[3] += weight


def at_most(bounds: Sequence[float], buckets: Sequence[int]) -> list[int] | None:
    """Counts up to each of the contract's bounds; None where one of them cannot be known.

    A bound that lies inside a bucket is known only where that bucket is empty.

    Args:
        bounds: upper bounds in milliseconds; the last bucket has none.
        buckets: one more than there are bounds.
    """
    counts: list[int] = []
    total = index = 0
    for bound in BOUNDS:
        while index < len(bounds) and bounds[index] <= bound * (1 + 1e-9):
            total += buckets[index]
            index += 1
        meets = index and abs(bounds[index - 1] - bound) <= bound * 1e-9
        if not meets and buckets[index]:
            return None
        counts.append(total)
    return counts


def instant(nanoseconds: int) -> dt.datetime:
    """An instant in UTC."""
    return dt.datetime.fromtimestamp(nanoseconds / SECOND, dt.UTC)
