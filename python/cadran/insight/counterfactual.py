"""What a stretch of time would have held, had it been like the same hours of other weeks.

The estimator is one of counts: the same minutes of the week in the weeks around, times the level
of the quiet hours near the stretch over the level of those near each of these weeks. How far it
errs is seen on placebos: the same minutes of every quiet week, by the very same estimator. Nothing
is assumed of the errors but that they are alike once they are divided by the root of what was
expected, as counts are.

Minutes are those of the local clock, so that a week is as long in March and October. The hour that
a clock skips or repeats is never quiet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from cadran.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]
    Instants = NDArray[np.datetime64]

HOUR, DAY, WEEK = 60, 1_440, 10_080  # minutes
WEEK_HOURS = 168
REACH = 8  # weeks before and after that a stretch is compared with
LEVEL_HOURS = 84  # on each side of a stretch, by which its level is known
LEAST_WEEKS = 3
LEAST_HOURS = 6  # of a level
LEAST_PLACEBOS = 19  # fewer cannot tell one in twenty
TAIL = 0.05  # of each side of an interval of 90 %
_MICROSECONDS = 60 * 1_000_000


def _offset(instant: datetime, zone: ZoneInfo) -> int:
    """Minutes that a zone is ahead of UTC at an instant (UTC, without a zone)."""
    ahead = instant.replace(tzinfo=UTC).astimezone(zone).utcoffset() or timedelta()
    return int(ahead / timedelta(minutes=1))


@dataclass(frozen=True, slots=True)
class Timeline:
    """The minutes of a local clock from a midnight on.

    Attributes:
        zone: of the clock.
        first: the midnight, as the clock shows it.
        hours: how many it has.
        irregular: the hours that the clock skipped or repeated.
    """

    zone: ZoneInfo
    first: datetime
    hours: int
    irregular: Ints
    _hour_zero: np.datetime64
    _offsets: Ints

    @classmethod
    def spanning(cls, earliest: datetime, latest: datetime, zone: str) -> Timeline:
        """The days of a zone that hold two instants (UTC, without a zone) and all between."""
        clock = ZoneInfo(zone)
        begin = earliest - timedelta(days=2)
        begin = begin.replace(hour=0, minute=0, second=0, microsecond=0)
        count = (int((latest - begin) / timedelta(days=1)) + 3) * 24
        midnights = [_offset(begin + timedelta(hours=n), clock) for n in range(0, count + 1, 24)]
        offsets = np.repeat(np.array(midnights[:-1], dtype=np.int64), 24)
        for day in np.flatnonzero(np.diff(midnights)).tolist():
            for n in range(24 * day, 24 * day + 24):
                offsets[n] = _offset(begin + timedelta(hours=n), clock)
        local = np.arange(count) * HOUR + offsets
        first = begin + timedelta(days=1)
        shift = DAY
        changes = np.flatnonzero(np.diff(offsets))
        irregular = [
            hour
            for n in changes
            for hour in range(
                (min(local[n], local[n + 1]) - shift) // HOUR,
                (max(local[n], local[n + 1]) - shift) // HOUR + 1,
            )
        ]
        hours = int((local[-1] - shift) // DAY) * 24
        return cls(clock, first, hours, np.array(irregular, dtype=np.int64),
                   np.datetime64(begin, "us"), offsets)  # fmt: skip

    def minutes(self, instants: Instants) -> Ints:
        """The minute of each instant (UTC)."""
        since = (instants.astype("datetime64[us]") - self._hour_zero).astype(np.int64)
        utc = since // _MICROSECONDS
        hour = np.clip(utc // HOUR, 0, len(self._offsets) - 1)
        minutes: Ints = utc + self._offsets[hour] - DAY
        return minutes

    def minute(self, instant: datetime) -> int:
        """The minute of an instant (UTC, without a zone)."""
        return int(self.minutes(np.array([instant], dtype="datetime64[us]"))[0])

    def utc(self, minute: int) -> datetime:
        """The instant of a minute (UTC, without a zone); the first of two that show the same."""
        local = (self.first + timedelta(minutes=minute)).replace(tzinfo=self.zone)
        return local.astimezone(UTC).replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class Series:
    """Counts over a timeline: `before[m]` of them lie before minute m."""

    before: Floats

    @classmethod
    def of(cls, timeline: Timeline, minutes: Ints, counts: Floats, width: int = 1) -> Series:
        """Counts at minutes, each spread over so many minutes from there on."""
        length = timeline.hours * HOUR
        inside = (minutes >= 0) & (minutes < length)
        by_minute = np.bincount(minutes[inside], counts[inside], length)
        if width > 1:
            by_minute = by_minute.reshape(-1, width).sum(axis=1).repeat(width) / width
        return cls(np.concatenate([[0.0], np.cumsum(by_minute)]))

    @property
    def hourly(self) -> Floats:
        """The count of each hour."""
        return np.diff(self.before[::HOUR])

    def between(self, start: Ints, end: Ints) -> Floats:
        """The counts from each start to each end; zero outside the timeline."""
        most = len(self.before) - 1
        counts: Floats = self.before[np.clip(end, 0, most)] - self.before[np.clip(start, 0, most)]
        return counts


@dataclass(frozen=True, slots=True)
class Stretch:
    """Minutes that are looked at: pieces of start, end and the share of it that counts."""

    pieces: tuple[tuple[int, int, float], ...]

    @property
    def start(self) -> int:
        """Its first minute."""
        return self.pieces[0][0]

    @property
    def end(self) -> int:
        """The minute after its last."""
        return self.pieces[-1][1]

    def counts(self, series: Series, weeks: Ints) -> Floats:
        """What a series holds in it, and in the same minutes of other weeks."""
        total = np.zeros(len(weeks))
        for start, end, share in self.pieces:
            total += share * series.between(start + weeks * WEEK, end + weeks * WEEK)
        return total


@dataclass(frozen=True, slots=True)
class Calm:
    """Which hours of a timeline can be compared.

    Attributes:
        known: hours that hold data.
        undisturbed: hours that no incident touched.
        regime: of each hour; 0 is an ordinary one, every promotion and holiday has its own.
    """

    known: Flags
    undisturbed: Flags
    regime: Ints

    @property
    def quiet(self) -> Flags:
        """Ordinary hours that no incident touched."""
        quiet: Flags = self.known & self.undisturbed & (self.regime == 0)
        return quiet


@dataclass(frozen=True, slots=True)
class Weeks:
    """A stretch and its doubles in other weeks, each as it was and as it was to be expected.

    Attributes:
        weeks: how far each is from the stretch, in weeks; 0 is the stretch itself.
        actual: what was there.
        expected: what was to be expected; not a number where too little is known.
        is_placebo: whether it is a quiet one other than the stretch.
        baseline_weeks: how many weeks the stretch was compared with.
        baseline_hours: quiet hours of the stretch's own level.
        masked_hours: hours near the stretch that were not to be compared.
    """

    weeks: Ints
    actual: Floats
    expected: Floats
    is_placebo: Flags
    baseline_weeks: int
    baseline_hours: int
    masked_hours: int

    @property
    def own(self) -> int:
        """The place of the stretch itself."""
        return int(np.flatnonzero(self.weeks == 0)[0])

    @property
    def spread(self) -> Floats:
        """The root of what was expected, by which errors are made alike."""
        return np.sqrt(np.maximum(self.expected, 1.0))


def expect(series: Series, calm: Calm, stretch: Stretch, *, reach: int = REACH) -> Weeks:
    """What a stretch was to hold, and what each of its doubles was to hold.

    For a stretch w and the quiet weeks k around it: mean over k of count(w, k), times the sum over
    k of the counts of the quiet hours near w, over the sum over k of the counts of the same hours
    near w in week k; an hour counts in both sums where it is quiet in both weeks.

    Args:
        series: the counts.
        calm: which hours can be compared.
        stretch: the minutes.
        reach: weeks before and after that it is compared with.
    """
    first, last = stretch.start // HOUR, -(-stretch.end // HOUR)
    total = len(calm.known)
    quiet, hourly = calm.quiet, series.hourly
    weeks = np.arange(-(first // WEEK_HOURS), max(0, (total - last) // WEEK_HOURS) + 1)
    actual = stretch.counts(series, weeks)
    unquiet = np.concatenate([[0], np.cumsum(~quiet)])
    begin, end = first + weeks * WEEK_HOURS, last + weeks * WEEK_HOURS
    is_usable = (begin >= 0) & (end <= total)
    is_usable &= unquiet[np.clip(end, 0, total)] == unquiet[np.clip(begin, 0, total)]
    is_usable &= weeks != 0

    around = np.concatenate(
        [np.arange(first - LEVEL_HOURS, first), np.arange(last, last + LEVEL_HOURS)]
    )
    places = around[None, :] + weeks[:, None] * WEEK_HOURS
    inside = (places >= 0) & (places < total)
    places = np.clip(places, 0, total - 1)
    is_quiet = quiet[places] & inside
    own = int(np.flatnonzero(weeks == 0)[0])
    regime = calm.regime[min(first, total - 1)]
    is_own_level = (calm.known & calm.undisturbed & (calm.regime == regime))[places[own]]
    is_level = is_quiet.copy()
    is_level[own] = is_own_level & inside[own]
    counts = hourly[places]

    near, far, same, used, hours = (np.zeros(len(weeks)) for _ in range(5))
    for k in (*range(-reach, 0), *range(1, reach + 1)):
        here = np.arange(max(0, -k), min(len(weeks), len(weeks) - k))
        here = here[is_usable[here + k]]
        there = here + k
        both = is_level[here] & is_quiet[there]
        near[here] += (counts[here] * both).sum(axis=1)
        far[here] += (counts[there] * both).sum(axis=1)
        hours[here] += both.sum(axis=1)
        same[here] += actual[there]
        used[here] += 1
    enough = (used >= LEAST_WEEKS) & (hours >= LEAST_HOURS * used) & (near > 0) & (far > 0)
    expected = np.full(len(weeks), np.nan)
    expected[enough] = (same[enough] / used[enough]) * near[enough] / far[enough]
    return Weeks(
        weeks=weeks,
        actual=actual,
        expected=expected,
        is_placebo=is_usable & enough,
        baseline_weeks=int(used[own]),
        baseline_hours=int(is_level[own].sum()),
        masked_hours=int((~is_level[own]).sum()),
    )


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the bounds between which the truth lies nine times in ten.

    Attributes:
        estimate: of what an incident changed.
        lower: bound.
        upper: bound.
        errors: what the same estimator gave on quiet weeks, where nothing was to be found, made
            alike to the estimate; centred on zero.
    """

    estimate: float
    lower: float
    upper: float
    errors: Floats

    @property
    def holds_zero(self) -> bool:
        """Whether no change at all is among what is likely."""
        return self.lower <= 0 <= self.upper


def interval(value: float, errors: Floats) -> Interval:
    """An estimate less what the estimator is wrong by on average, with its interval.

    The bounds are the order statistics of the errors that leave at most one in twenty outside on
    each side among n + 1 (split conformal prediction; Vovk, Gammerman and Shafer, 2005).

    Raises:
        QueryError: there are too few placebos.
    """
    if len(errors) < LEAST_PLACEBOS:
        raise QueryError(
            f"There are {len(errors)} quiet weeks to judge the estimate by, and it takes"
            f" {LEAST_PLACEBOS}."
        )
    centre = float(errors.mean())
    centred = np.sort(errors - centre)
    outside = int(TAIL * (len(errors) + 1))
    least, most = centred[max(outside - 1, 0)], centred[min(len(errors) - outside, len(errors) - 1)]
    estimate = value - centre
    return Interval(estimate, estimate - float(most), estimate - float(least), centred)


def combined(intervals: Iterable[Interval], draws: int = 4_000) -> Interval:
    """The sum of estimates, with an interval of its own.

    Errors of different incidents are drawn independently from their placebos and summed, which is
    narrower than a sum of bounds. The draws are always the same.
    """
    every = list(intervals)
    if len(every) == 1:
        return every[0]
    rng = np.random.default_rng(20_240_229)
    errors = np.zeros(draws)
    for one in every:
        errors += rng.choice(one.errors, draws)
    estimate = float(sum(one.estimate for one in every))
    least, most = np.quantile(errors, [TAIL, 1 - TAIL])
    return Interval(estimate, estimate - float(most), estimate - float(least), errors)


def instants(column: Any) -> Instants:
    """A column of Arrow as instants."""
    times: Instants = column.to_numpy(zero_copy_only=False).astype("datetime64[us]")
    return times
