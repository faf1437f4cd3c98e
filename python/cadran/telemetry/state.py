"""What a collector has to remember across a crash: it is written down with each landed segment.

- Bodies that were taken, for as long as a sender may send one again.
- The last value of each cumulative series. What a point adds is its value less the one before; a
  series that began anew (its start moved, or its value fell) adds its whole value.
- How far each followed log is read, the routes and the services that were seen.

A change is kept until `changes` is asked for; changes in their order make the state again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.telemetry.records import HOUR, MINUTE, ROUTES

if TYPE_CHECKING:
    from cadran.telemetry.records import Point

OTHER = "other"
SERVICES = 2000
_YOUNG = 5 * MINUTE  # a series this young when it is first seen began at 0 before our eyes
_IDLE = 24 * HOUR
_LAST = 1  # of a series: start, time, values


class RefusedPointError(ValueError):
    """A point that cannot be counted."""


class State:
    """What is remembered. Not thread-safe."""

    def __init__(self, *, retries: float, series: int) -> None:
        """Remember nothing yet.

        Args:
            retries: hours for which a body is known.
            series: most cumulative series.
        """
        self._retries, self._most = int(retries * HOUR), series
        self.seen: dict[str, int] = {}
        self.offsets: dict[str, list[int]] = {}
        self.routes: dict[str, dict[str, int]] = {}
        self._series: dict[str, list[Any]] = {}
        self._targets: dict[str, list[int]] = {}
        self._changes: dict[str, dict[str, Any]] = {}

    def has(self, body: str, now: int) -> bool:
        """Whether a body was taken before."""
        at = self.seen.get(body)
        return at is not None and now - at <= self._retries

    def take(self, body: str, now: int) -> None:
        """Remember a body."""
        self.seen[body] = now
        self._changed("seen", body, now)

    def read_to(self, path: str, inode: int, byte: int) -> None:
        """Remember how far a log is read."""
        self.offsets[path] = [inode, byte]
        self._changed("offsets", path, self.offsets[path])

    def service(self, service: str) -> bool:
        """Remember a service; False where there are too many."""
        if service not in self.routes:
            if len(self.routes) >= SERVICES:
                return False
            self.routes[service] = {}
            self._changed("routes", service, {})
        return True

    def route(self, service: str, route: str) -> str:
        """The route, or `other` beyond the first 200 of its service."""
        routes = self.routes[service]
        if route in routes:
            return route
        if len(routes) >= ROUTES:
            return OTHER
        routes[route] = 1
        self._changed("routes", service, routes)
        return route

    def delta(self, point: Point) -> tuple[int, ...] | None:
        """What a point adds; None where it only says from where on to count.

        Raises:
            RefusedPointError: two processes write the series, or there are too many series.
        """
        if point.is_delta:
            return point.values
        last = self._series.get(point.key)
        if last is None and len(self._series) >= self._most:
            raise RefusedPointError(
                f"there are {self._most} series already: drop attributes, or raise limits.series."
            )
        first_seen = self._target_start(point)
        if last is not None:
            if point.start and point.start < last[0]:
                raise RefusedPointError(
                    f"two processes of {point.service} write the same series: give each its own"
                    " service.instance.id."
                )
            if point.time <= last[_LAST]:
                return None  # a point that was there before
        self._series[point.key] = [point.start, point.time, list(point.values)]
        self._changed("series", point.key, self._series[point.key])
        if last is None:
            began = (
                point.time - point.start <= _YOUNG
                if point.start
                else bool(first_seen) and point.time > first_seen
            )
            return point.values if began else None
        start, _, values = last
        is_new = point.start > start or any(
            now < before for now, before in zip(point.values, values, strict=True)
        )
        if is_new:
            return point.values
        return tuple(now - before for now, before in zip(point.values, values, strict=True))

    def _target_start(self, point: Point) -> int:
        """When the target of a series without a start was first seen; 0 for now."""
        if not point.target:
            return 0
        target = self._targets.get(point.target)
        if target is None:
            self._targets[point.target] = [point.time, point.time]
            self._changed("targets", point.target, self._targets[point.target])
            return 0
        if point.time > target[1]:
            target[1] = point.time
            self._changed("targets", point.target, target)
        return target[0]

    def forget(self, now: int) -> None:
        """Forget bodies that cannot come again, and series that ended."""
        self.seen = {body: at for body, at in self.seen.items() if now - at <= self._retries}
        self._series = {
            key: value for key, value in self._series.items() if now - value[_LAST] <= _IDLE
        }
        self._targets = {
            key: value for key, value in self._targets.items() if now - value[1] <= _IDLE
        }

    def changes(self) -> dict[str, dict[str, Any]]:
        """What changed since it was asked before."""
        changes, self._changes = self._changes, {}
        return changes

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Everything, in the form of a change."""
        return {
            "seen": self.seen, "offsets": self.offsets, "routes": self.routes,
            "series": self._series, "targets": self._targets,
        }  # fmt: skip

    def apply(self, changes: dict[str, dict[str, Any]]) -> None:
        """Make changes that were written down."""
        for name, store in self.snapshot().items():
            store.update(changes.get(name, {}))

    def _changed(self, name: str, key: str, value: Any) -> None:
        self._changes.setdefault(name, {})[key] = value
