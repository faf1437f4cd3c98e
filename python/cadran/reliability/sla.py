"""Contracts of service levels: what was promised to a customer, held against a month, to the cent.

Three grammars say what availability is:

- `mean_of_slices`: the mean over slices of good / valid events in the slice;
- `bad_runs`: minutes in runs of bad ones, of a least length, taken off the month;
- `time_less_exclusions`: as `bad_runs`, and excluded time is taken off the month as well.

A month is one of the contract's time zone, 743 to 745 hours long if it has 31 days. Availabilities
are fractions and never rounded before a tier is looked up: 99.895 % is below 99.9 %. A tier is
half-open, credit applies strictly below its bound, and of several tiers the highest credit only.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, model_validator

from cadran.core.project.slos import Email, Key, Share, Strict, Zone
from cadran.errors import QueryError, UnknownNameError
from cadran.formats import periods, strict_yaml
from cadran.reliability import status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Any

    from cadran.core.layer import Layer

MINUTE = dt.timedelta(minutes=1)
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CENT = Decimal("0.01")
_QUARTER = 15  # minutes
_NONE = (0, 0)


def _clock(value: object) -> object:
    if not isinstance(value, (str, dt.time)):
        raise ValueError('write an hour in quotes, such as "08:00": YAML reads it as a number')  # noqa: TRY004 - pydantic's kind
    return value


Clock = Annotated[dt.time, BeforeValidator(_clock)]


class CreditTier(Strict):
    """Below a bound, a share of the base amount."""

    below: Share
    credit: Annotated[Decimal, Field(gt=0, le=1)]


class ServiceHours(Strict):
    """Local hours within which the promise holds; by default all hours of the days named."""

    days: tuple[Day, ...] = DAYS
    start: Clock = Field(default=dt.time(0), alias="from")
    end: Clock | None = Field(default=None, alias="to")  # None: midnight

    @model_validator(mode="after")
    def _in_order(self) -> ServiceHours:
        if self.end is not None and self.end <= self.start:
            raise ValueError("hours end after they start; leave `to` out for midnight")
        return self

    def holds(self, local: dt.datetime) -> bool:
        """Whether a local minute is within them."""
        clock = local.time()
        return (
            DAYS[local.weekday()] in self.days
            and clock >= self.start
            and (self.end is None or clock < self.end)
        )


class Exclusions(Strict):
    """Which entries of the register count in this contract."""

    kinds: tuple[str, ...] = ()
    notice_hours: Annotated[int, Field(ge=0)] | None = None
    cap_minutes: Annotated[int, Field(ge=0)] | None = None


class Translation(Strict):
    """Words of the statement in French."""

    title: str


class Contract(Strict):
    """One contract as it stands in `contracts/<name>.yml`."""

    contract: Key
    title: str
    fr: Translation
    customer: str
    owner: Email
    services: Annotated[tuple[str, ...], Field(min_length=1)]
    kpi: str
    time_zone: Zone
    starts: dt.date
    ends: dt.date | None = None  # the last day
    grammar: Literal["mean_of_slices", "bad_runs", "time_less_exclusions"]
    target: Share
    slice_minutes: Literal[1, 5, 15] = 1
    bad_below: Share | None = None
    minimum_run: Annotated[int, Field(ge=1)] = 1
    no_data: Literal["good", "bad", "ignore"] = "good"
    service_hours: ServiceHours = ServiceHours()
    exclusions: Exclusions = Exclusions()
    tiers: Annotated[tuple[CreditTier, ...], Field(min_length=1)]
    base_amount: Annotated[Decimal, Field(gt=0, decimal_places=2)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    cap: Annotated[Decimal, Field(gt=0, le=1)] = Decimal(1)

    @model_validator(mode="after")
    def _is_whole(self) -> Contract:
        is_mean = self.grammar == "mean_of_slices"
        if is_mean == (self.bad_below is not None):
            raise ValueError(
                "bad_below is what makes a minute bad: bad_runs and time_less_exclusions need it,"
                " mean_of_slices has none"
            )
        if not is_mean and self.slice_minutes != 1:
            raise ValueError("slice_minutes is for mean_of_slices; the others count minutes")
        if not is_mean and self.no_data == "ignore":
            raise ValueError("time has no gaps: no_data is good or bad where minutes are counted")
        bounds = [tier.below for tier in self.tiers]
        credits_ = [tier.credit for tier in self.tiers]
        if bounds != sorted(set(bounds), reverse=True) or credits_ != sorted(set(credits_)):
            raise ValueError("tiers stand from the highest bound down, each with a higher credit")
        if bounds[0] > self.target:
            raise ValueError("the first tier begins at the target or below it")
        if self.ends is not None and self.ends < self.starts:
            raise ValueError("the contract ends before it starts")
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The zone of its months and hours."""
        return ZoneInfo(self.time_zone)

    @property
    def promise(self) -> Fraction:
        """The target as a fraction."""
        return Fraction(self.target)

    def month(self, start: dt.date) -> tuple[dt.datetime, dt.datetime]:
        """The instants in UTC, without zone, from which and up to which a local month lasts."""
        return self.midnight(start), self.midnight(periods.shifted(start, "month", 1))

    def midnight(self, day: dt.date) -> dt.datetime:
        """The instant in UTC, without zone, at which a local day begins."""
        local = dt.datetime.combine(day, dt.time(), self.zone)
        return local.astimezone(dt.UTC).replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class BadMinute:
    """A minute that hurt: its instant in UTC and locally, its events, and what became of it."""

    minute_at: dt.datetime
    local: dt.datetime
    good: int
    total: int
    counts: bool  # within a run that is long enough
    is_excluded: bool


@dataclass(frozen=True, slots=True)
class Settlement:
    """A contract and a month: availability gross and net, the minutes, the credit.

    An availability is None when nothing was promised or measured in the time. `last_instant` is
    before the month's end while the month runs.
    """

    contract: Contract
    month: dt.date
    starts_at: dt.datetime
    ends_at: dt.datetime
    last_instant: dt.datetime
    agreed_minutes: int
    excluded_minutes: int
    gross: Fraction | None
    net: Fraction | None
    tier: CreditTier | None
    credit: Decimal
    minutes_left: int | None
    bad_minutes: tuple[BadMinute, ...]

    @property
    def is_running(self) -> bool:
        """Whether the month is not over in the data."""
        return self.last_instant < self.ends_at

    @property
    def is_kept(self) -> bool:
        """Whether the promise was kept, net of exclusions."""
        return self.net is None or self.net >= self.contract.promise


def read_contracts(folder: Path) -> dict[str, Contract]:
    """The contracts of a folder, by name.

    Raises:
        QueryError: a file cannot be read or says what is not allowed; it and the key are named.
    """
    contracts: dict[str, Contract] = {}
    for file in sorted(folder.glob("*.yml")):
        content = strict_yaml.read(file, QueryError, loader=strict_yaml.ExactLoader)
        contract = strict_yaml.parsed_as(Contract, content, str(file), QueryError)
        if contract.contract != file.stem:
            raise QueryError(
                f"{file}: it holds contract '{contract.contract}'; name the file like it."
            )
        contracts[contract.contract] = contract
    return contracts


def contract_of(contracts: dict[str, Contract], name: str) -> Contract:
    """One contract.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in contracts:
        raise UnknownNameError("contract", name, contracts)
    return contracts[name]


def settle(layer: Layer, contract: Contract, month: dt.date) -> Settlement:
    """A month of a contract from the warehouse's minutes, up to where they reach.

    Raises:
        QueryError: the month is before the contract, or there is no data of it.
    """
    if month < contract.starts.replace(day=1):
        raise QueryError(
            f"Contract '{contract.contract}' starts on {contract.starts}: {month:%Y-%m} is before."
        )
    if contract.ends is not None and month > contract.ends:
        raise QueryError(
            f"Contract '{contract.contract}' ended on {contract.ends}: {month:%Y-%m} is after."
        )
    starts_at, ends_at = contract.month(month)
    reached = status.watermark(layer, contract.kpi)
    if reached is None or reached <= starts_at:
        raise QueryError(f"There is no data of {month:%Y-%m} yet (KPI '{contract.kpi}').")
    counts = status.minutes(layer, contract.kpi, contract.services, starts_at, ends_at)
    return settled(contract, month, counts, status.exclusions(layer), min(reached, ends_at))


def settled(
    contract: Contract,
    month: dt.date,
    counts: dict[dt.datetime, tuple[int, int]],
    exclusions: Iterable[dict[str, Any]] = (),
    last_instant: dt.datetime | None = None,
) -> Settlement:
    """A month of a contract from its counts.

    Args:
        contract: what was promised.
        month: its first day.
        counts: good and valid events by minute in UTC; minutes without events may be absent.
        exclusions: entries of the register.
        last_instant: up to where the data reach; by default the month's end.
    """
    starts_at, ends_at = contract.month(month)
    last = min(last_instant or ends_at, ends_at)
    agreed = _agreed(contract, starts_at, ends_at)
    elapsed = [minute for minute in agreed if minute < last]
    excluded = _excluded(contract, exclusions, agreed)
    bad, gross, net = (
        _mean_of_slices(contract, elapsed, counts, excluded)
        if contract.grammar == "mean_of_slices"
        else _bad_time(contract, elapsed, counts, excluded)
    )
    tier = tier_of(contract, net)
    return Settlement(
        contract=contract,
        month=month,
        starts_at=starts_at,
        ends_at=ends_at,
        last_instant=last,
        agreed_minutes=len(agreed),
        excluded_minutes=len(excluded),
        gross=gross,
        net=net,
        tier=tier,
        credit=_credit(contract, tier),
        minutes_left=_minutes_left(
            contract, *_weights(contract, agreed, elapsed, excluded, counts), net
        ),
        bad_minutes=tuple(bad),
    )


def tier_of(contract: Contract, net: Fraction | None) -> CreditTier | None:
    """The tier with the highest credit among those that an availability is strictly below."""
    if net is None:
        return None
    return next((tier for tier in reversed(contract.tiers) if net < Fraction(tier.below)), None)


def _credit(contract: Contract, tier: CreditTier | None) -> Decimal:
    """The highest tier only, never more than the cap, rounded to the cent once, at the end."""
    share = min(tier.credit, contract.cap) if tier else Decimal(0)
    return (contract.base_amount * share).quantize(_CENT, ROUND_HALF_UP)


def _agreed(contract: Contract, starts_at: dt.datetime, ends_at: dt.datetime) -> list[dt.datetime]:
    """The minutes of service hours, in UTC; a clock that goes back lives an hour twice.

    A month in which the contract starts or ends has those of its days.
    """
    zone, hours = contract.zone, contract.service_hours
    starts_at = max(starts_at, contract.midnight(contract.starts))
    if contract.ends is not None:
        ends_at = min(ends_at, contract.midnight(contract.ends + dt.timedelta(days=1)))
    count = max(int((ends_at - starts_at) / MINUTE), 0)
    every = [starts_at + n * MINUTE for n in range(count)]
    if hours == ServiceHours():
        return every
    agreed, apart = [], dt.timedelta()
    for minute in every:
        # A zone's clock keeps its distance from UTC within a quarter of an hour.
        if minute == starts_at or not minute.minute % _QUARTER:
            apart = minute.replace(tzinfo=dt.UTC).astimezone(zone).utcoffset() or dt.timedelta()
        if hours.holds(minute + apart):
            agreed.append(minute)
    return agreed


def _excluded(
    contract: Contract, exclusions: Iterable[dict[str, Any]], agreed: list[dt.datetime]
) -> set[dt.datetime]:
    """The minutes that count as excluded: announced in time, approved, united, capped."""
    rules, spans = contract.exclusions, []
    for row in exclusions:
        if row["kind"] not in rules.kinds:
            continue
        if not (row["approver"] or "").strip() or not (row["reason"] or "").strip():
            continue
        if row["subject"] is not None and row["subject"] not in contract.services:
            continue
        if row["slo"] is not None and row["slo"] != contract.contract:
            continue
        if rules.notice_hours is not None and (
            row["announced_at"] is None
            or row["announced_at"] + dt.timedelta(hours=rules.notice_hours) > row["starts_at"]
        ):
            continue
        spans.append((row["starts_at"], row["ends_at"]))
    within = [(a, b) for a, b in spans if agreed and a <= agreed[-1] and b > agreed[0]]
    if not within:
        return set()
    minutes = [minute for minute in agreed if any(a <= minute < b for a, b in within)]
    return set(minutes if rules.cap_minutes is None else minutes[: rules.cap_minutes])


def _mean_of_slices(
    contract: Contract,
    elapsed: list[dt.datetime],
    counts: dict[dt.datetime, tuple[int, int]],
    excluded: set[dt.datetime],
) -> tuple[list[BadMinute], Fraction | None, Fraction | None]:
    def mean(minutes: list[dt.datetime]) -> Fraction | None:
        cells: Iterable[tuple[int, int]] = (counts.get(minute, _NONE) for minute in minutes)
        if contract.slice_minutes > 1:
            slices: dict[dt.datetime, tuple[int, int]] = {}
            for minute, (good, total) in zip(minutes, cells, strict=True):
                begin = _slice(contract, minute)
                known = slices.get(begin, _NONE)
                slices[begin] = known[0] + good, known[1] + total
            cells = slices.values()
        # Sums of numerators by denominator: adding fractions one by one grows without need.
        sums: dict[int, int] = {}
        length = 0
        for good, total in cells:
            if total == 0:
                if contract.no_data == "ignore":
                    continue
                good, total = int(contract.no_data == "good"), 1  # noqa: PLW2901 - what silence is
            sums[total] = sums.get(total, 0) + good
            length += 1
        if length == 0:
            return None
        return sum((Fraction(good, total) for total, good in sums.items()), Fraction()) / length

    bad = [
        bad_minute(
            contract, minute, counts.get(minute, _NONE),
            counts=True, is_excluded=minute in excluded,
        )
        for minute in _below(Fraction(1), contract, elapsed, counts)
    ]  # fmt: skip
    gross = mean(elapsed)
    net = mean([m for m in elapsed if m not in excluded]) if excluded else gross
    return bad, gross, net


def _slice(contract: Contract, minute: dt.datetime) -> dt.datetime:
    """The first minute of its slice; clocks of zones differ by quarters of an hour."""
    over = minute.minute % contract.slice_minutes
    return minute - over * MINUTE if over else minute


def _below(
    bound: Fraction,
    contract: Contract,
    minutes: list[dt.datetime],
    counts: dict[dt.datetime, tuple[int, int]],
) -> Iterator[dt.datetime]:
    """The minutes whose share of good events is below a bound, found in whole numbers."""
    above, below, is_silence_bad = bound.numerator, bound.denominator, contract.no_data == "bad"
    for minute in minutes:
        good, total = counts.get(minute, _NONE)
        if good * below < above * total if total else is_silence_bad:
            yield minute


def _bad_time(
    contract: Contract,
    elapsed: list[dt.datetime],
    counts: dict[dt.datetime, tuple[int, int]],
    excluded: set[dt.datetime],
) -> tuple[list[BadMinute], Fraction | None, Fraction | None]:
    """Runs are found first and excluded minutes taken off them after, so none is cut in two."""
    bound = Fraction(contract.bad_below or 1)
    runs: list[list[dt.datetime]] = []
    for minute in _below(bound, contract, elapsed, counts):
        if runs and runs[-1][-1] + MINUTE == minute:
            runs[-1].append(minute)
        else:
            runs.append([minute])
    bad = [
        bad_minute(
            contract, minute, counts.get(minute, _NONE),
            counts=len(run) >= contract.minimum_run, is_excluded=minute in excluded,
        )
        for run in runs
        for minute in run
    ]  # fmt: skip
    down = sum(minute.counts for minute in bad)
    net_down = sum(minute.counts and not minute.is_excluded for minute in bad)
    off = (
        sum(minute in excluded for minute in elapsed)
        if contract.grammar == "time_less_exclusions"
        else 0
    )

    def share(total: int, lost: int) -> Fraction | None:
        return Fraction(total - lost, total) if total else None

    return bad, share(len(elapsed), down), share(len(elapsed) - off, net_down)


def bad_minute(
    contract: Contract,
    minute: dt.datetime,
    events: tuple[int, int],
    *,
    counts: bool,
    is_excluded: bool,
) -> BadMinute:
    """A minute that hurt, from its good and valid events."""
    good, total = events
    local = minute.replace(tzinfo=dt.UTC).astimezone(contract.zone)
    return BadMinute(minute, local, good, total, counts, is_excluded)


def _weights(
    contract: Contract,
    agreed: list[dt.datetime],
    elapsed: list[dt.datetime],
    excluded: set[dt.datetime],
    counts: dict[dt.datetime, tuple[int, int]],
) -> tuple[int, int]:
    """The minutes that the net availability of the whole month, and up to now, is a share of.

    Exclusions that are announced for the rest of the month count. Minutes of a slice are taken to
    weigh the same, and those without events that are ignored weigh nothing.
    """
    if contract.grammar == "bad_runs":
        return len(agreed), len(elapsed)
    net_elapsed = [minute for minute in elapsed if minute not in excluded]
    ahead = sum(minute not in excluded for minute in agreed) - len(net_elapsed)
    gone = len(net_elapsed)
    if contract.no_data == "ignore":
        silent = [m for m in net_elapsed if counts.get(m, _NONE)[1] == 0]
        if silent:
            busy = {_slice(contract, m) for m in net_elapsed if counts.get(m, _NONE)[1] > 0}
            gone -= sum(_slice(contract, minute) not in busy for minute in silent)
    return gone + ahead, gone


def _minutes_left(contract: Contract, whole: int, gone: int, net: Fraction | None) -> int | None:
    """Whole minutes of outage, all else good, until the next tier; None when it is the last one."""
    if net is None:
        return None
    below = [tier for tier in contract.tiers if net >= Fraction(tier.below)]
    if not below:
        return None
    left = (1 - Fraction(below[0].below)) * whole - (1 - net) * gone
    return max(int(left // 1), 0)
