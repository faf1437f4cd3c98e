"""The frame every part of the demo shares: which days, how much, and which random stream."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import NDArray

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

BUSINESS_ZONE = ZoneInfo("Europe/Paris")
MONTHS = 25
REQUEST_MONTHS = 13
LINE_DAYS = 7

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def _month_start(day: date, months_back: int) -> date:
    count = day.year * 12 + day.month - 1 - months_back
    return date(count // 12, count % 12 + 1, 1)


@dataclass(frozen=True)
class Plan:
    """What is asked for. Instants are microseconds since 1970 in UTC."""

    seed: int
    end: date
    scale: float

    @cached_property
    def start(self) -> date:
        """First business day: the first of the month 24 months before the month of the end."""
        return _month_start(self.end, MONTHS - 1)

    @cached_property
    def days(self) -> NDArray[np.datetime64]:
        """All days from the first to the last."""
        return np.arange(
            np.datetime64(self.start, "D"),
            np.datetime64(self.end + timedelta(days=1), "D"),
            dtype="datetime64[D]",
        )

    @cached_property
    def midnights(self) -> Ints:
        """Instant at which each business day begins, and the one after the last day."""
        every = (self.start + timedelta(days=n) for n in range(len(self.days) + 1))
        return np.array(
            [
                int(datetime(d.year, d.month, d.day, tzinfo=BUSINESS_ZONE).timestamp()) * SECOND
                for d in every
            ],
            dtype=np.int64,
        )

    @cached_property
    def utc_midnights(self) -> Ints:
        """Instant at which each UTC day begins."""
        return self.days.astype("datetime64[us]").astype(np.int64)

    @cached_property
    def last_instant(self) -> int:
        """Last second of the last business day; nothing that people do comes later."""
        return int(self.midnights[-1]) - SECOND

    @cached_property
    def months(self) -> list[slice]:
        """The days of each month, as slices of `days`."""
        first = np.flatnonzero(np.r_[True, np.diff(self.month_of_day) != 0])
        return [
            slice(int(a), int(b)) for a, b in zip(first, [*first[1:], len(self.days)], strict=True)
        ]

    @cached_property
    def month_of_day(self) -> Ints:
        """Months since 1970 of each day."""
        return self.days.astype("datetime64[M]").astype(np.int64)

    def stream(self, table: str, block: int = 0) -> Generator:
        """An independent random stream for one block of one table."""
        key = (zlib.crc32(table.encode()), block)
        return Generator(PCG64(SeedSequence(self.seed, spawn_key=key)))

    def volume(self, at_full_size: float) -> int:
        """How many rows of what there are `at_full_size` at this scale; at least one."""
        return max(1, round(at_full_size * self.scale))

    def instant(self, day: Ints, seconds: Floats) -> Ints:
        """Instants of local clock times on business days, to the second.

        A day of 23 or 25 hours is squeezed or stretched, so that no event leaves its day.
        """
        length = np.diff(self.midnights)[day] // SECOND
        return self.midnights[day] + (seconds * (length / 86_400)).astype(np.int64) * SECOND

    def day_of(self, instant: Ints) -> Ints:
        """Index of the business day of each instant."""
        return np.searchsorted(self.midnights, instant, side="right").astype(np.int64) - 1
