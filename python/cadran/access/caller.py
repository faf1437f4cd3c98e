"""Who asks: a name, roles, and what they may spend."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from cadran.errors import LimitError
from cadran.formats.validation import Strict, above_0

if TYPE_CHECKING:
    from collections.abc import Iterator

SCOPES = ("query", "metadata", "write", "admin", "collect")


@dataclass(frozen=True, slots=True)
class Limits(Strict):
    """What one caller may spend; None is no limit.

    Attributes:
        per_minute: questions in a minute, cached ones included.
        rows: of one answer.
        seconds: that one question may run.
        megabytes: of one answer, as Arrow.
        at_once: questions that run at the same time.
    """

    per_minute: Annotated[int, above_0()] | None = None
    rows: Annotated[int, above_0()] | None = None
    seconds: Annotated[float, above_0(fraction=True)] | None = None
    megabytes: Annotated[float, above_0(fraction=True)] | None = None
    at_once: Annotated[int, above_0()] | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """One who asks, as a token, a login or this machine says.

    Attributes:
        name: a person or a program; it stands in the record of questions.
        roles: names of roles in the policy, in the order in which they are tried.
        scopes: of `query`, `metadata`, `write` (notes), `admin` and `collect` (send telemetry).
        limits: what it may spend.
        token: the identifier of the token, never the token itself; None without one.
    """

    name: str
    roles: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset(SCOPES)
    limits: Limits = field(default_factory=Limits)
    token: str | None = None


LOCAL = Caller("local")


_MINUTE = 60.0


class Meter:
    """Counts what callers spend; a caller is told by its token, else by its name.

    Questions in a minute are a bucket that refills evenly: a full one may be spent at once.
    """

    def __init__(self) -> None:
        """Nothing is spent."""
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}
        self._running: Counter[str] = Counter()

    def count(self, caller: Caller) -> None:
        """Count one question.

        Raises:
            LimitError: the caller has asked as much as it may in a minute.
        """
        most = caller.limits.per_minute
        if most is None:
            return
        now, key = time.monotonic(), caller.token or caller.name
        with self._lock:
            tokens, at = self._buckets.get(key, (float(most), now))
            tokens = min(float(most), tokens + (now - at) * most / _MINUTE)
            self._buckets[key] = (tokens - 1 if tokens >= 1 else tokens), now
        if tokens < 1:
            wait = (1 - tokens) * _MINUTE / most
            raise LimitError(
                f"{caller.name} may ask {most} questions in a minute: ask again in {wait:.1f} s.",
                retry_after=wait,
            )

    @contextlib.contextmanager
    def running(self, caller: Caller) -> Iterator[None]:
        """Count one question as running.

        Raises:
            LimitError: as many as the caller may run at once are running.
        """
        most, key = caller.limits.at_once, caller.token or caller.name
        with self._lock:
            if most is not None and self._running[key] >= most:
                raise LimitError(
                    f"{caller.name} may run {most} questions at once: wait for one of them.",
                    retry_after=1.0,
                )
            self._running[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[key] -= 1
                if not self._running[key]:
                    del self._running[key]
