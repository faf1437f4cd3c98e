"""Sessions and the orders they end in, month by month, with what incidents take away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cadran_demo.arrow import Sheet, ids, times, words, write
from cadran_demo.world import (
    BUSINESS,
    CHANNELS,
    COUNTRIES,
    DAY,
    DEVELOPER,
    DEVICE_CONVERSION,
    DEVICES,
    MINUTE,
    OFFICE_DAY,
    PARTNER,
    SECOND,
    SEGMENT_SHARE,
    SEGMENTS,
    SHOP_DAY,
    Flags,
    Floats,
    Ints,
    Plan,
    clock,
    growth,
    office_demand,
    promotion_factor,
    shop_demand,
    yearly,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator

    from cadran_demo.platform import Incident


SESSIONS = 2_500_000
NEW_AMONG_ORDERS = (0.41, 0.30)  # share of the orders of first-time buyers, first and last month
SIGN_UPS_WITHOUT_ORDER = 0.0029  # share of the sessions
SIGNED_IN = 0.17  # share of the sessions without an order whose customer is known
ELSEWHERE = 0.012  # share of the orders delivered to another country
_VISITORS = 1_150_000


@dataclass(slots=True)
class Orders:
    """All orders by time; `session` is -1 where there was none.

    Their money in cents, and which were cancelled, is known once their lines are drawn.
    """

    customer: Ints
    session: Ints
    channel: Codes
    country: Codes
    ordered: Ints
    cents: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    cancelled: Flags = field(default_factory=lambda: np.empty(0, dtype=np.bool_))

    def __len__(self) -> int:
        return len(self.ordered)


@dataclass(slots=True)
class Shop:
    """What the other domains need of the shop's past, and the truth about its incidents."""

    book: Book
    orders: Orders
    sessions: int
    hit_customer: Ints  # customers who were there during an incident, when, and which
    hit_at: Ints
    hit_incident: Ints
    sessions_hit: Ints  # by incident
    orders_expected: Floats  # that these sessions would have made
    orders_placed: Ints


@dataclass(slots=True)
class _Month:
    """The sessions of one month by time."""

    channel: Codes
    country: Codes
    device: Codes
    day: Ints
    started: Ints


@dataclass(slots=True)
class _Ledger:
    """What the months are drawn from, and what they add up to."""

    expected: Floats
    incidents: list[Incident]
    parts: list[Orders] = field(default_factory=list)
    hits: list[tuple[Ints, Ints, Ints]] = field(default_factory=list)


def expected_sessions(plan: Plan) -> Floats:
    """Expected sessions by day, channel and country, at the plan's scale."""
    demand = np.stack([shop_demand(plan)] * len(CHANNELS))
    demand[PARTNER] = office_demand(plan) * np.sqrt(yearly(plan))
    by_channel = np.stack([c.share * growth(plan, c.growth) for c in CHANNELS])
    by_country = np.stack([c.share * growth(plan, c.growth) for c in COUNTRIES])
    cells: Floats = np.einsum("kd,cd->dkc", demand * by_channel, by_country)
    cells *= SESSIONS * plan.scale / cells.sum()
    return cells


def _draw_sessions(plan: Plan, rng: Generator, days: slice, expected: Floats) -> _Month:
    cells = expected[days]
    counts = rng.poisson(cells).ravel()
    cell = np.repeat(np.arange(len(counts)), counts)
    day, channel, country = np.unravel_index(cell, cells.shape)
    day = day + days.start
    partner = channel == PARTNER
    seconds = np.where(partner, clock(rng, len(cell), OFFICE_DAY), clock(rng, len(cell), SHOP_DAY))
    behind = np.array([c.behind for c in COUNTRIES])[country]
    started = plan.instant(day, np.mod(seconds + behind * 3600, 86_400))
    bounds = np.cumsum([c.devices for c in CHANNELS], axis=1)
    device = (rng.random(len(cell))[:, None] >= bounds[channel, :-1]).sum(axis=1)
    order = np.argsort(started, kind="stable")
    return _Month(
        channel=channel[order].astype(np.int8),
        country=country[order].astype(np.int8),
        device=device[order].astype(np.int8),
        day=day[order],
        started=started[order],
    )


def _chance(plan: Plan, month: _Month) -> Floats:
    """Chance of each session to end in an order, were there no incident."""
    by_day = promotion_factor(plan, "conversion") * (0.55 + 0.45 * yearly(plan))
    chance: Floats = (
        np.array([c.conversion for c in CHANNELS])[month.channel]
        * np.array([c.conversion for c in COUNTRIES])[month.country]
        * np.array(DEVICE_CONVERSION)[month.device]
        * by_day[month.day]
    )
    return np.minimum(chance, 0.95)


def _orders_without_session(
    plan: Plan, rng: Generator, days: slice, expected: Floats
) -> tuple[Codes, Codes, Ints]:
    """Channel, country and time of the orders that partners and marketplaces send in."""
    ratio = [c.without_session * c.conversion / (1 - c.without_session) for c in CHANNELS]
    cells = expected[days] * np.array(ratio)[None, :, None]
    counts = rng.poisson(cells).ravel()
    cell = np.repeat(np.arange(len(counts)), counts)
    day, channel, country = np.unravel_index(cell, cells.shape)
    ordered = plan.instant(day + days.start, clock(rng, len(cell), OFFICE_DAY))
    return channel.astype(np.int8), country.astype(np.int8), ordered


def _month_of_sales(plan: Plan, days: slice, shop: Shop, ledger: _Ledger) -> dict[str, object]:
    """Draw one month; the orders go to the ledger, the columns of its sessions are returned."""
    block = int(plan.month_of_day[days.start])
    rng, book = plan.stream("sessions", block), shop.book
    month = _draw_sessions(plan, rng, days, ledger.expected)
    count = len(month.started)
    chance = _chance(plan, month)
    spans = []
    for number, incident in enumerate(ledger.incidents):
        first, last = np.searchsorted(month.started, [incident.started, incident.restored])
        if last > first and incident.conversion_loss:
            shop.orders_expected[number] += chance[first:last].sum()
            shop.sessions_hit[number] += last - first
            chance[first:last] *= 1 - incident.conversion_loss
            spans.append((number, int(first), int(last)))
    is_order = rng.random(count) < chance
    for number, first, last in spans:
        shop.orders_placed[number] += is_order[first:last].sum()

    # Orders: those of sessions first, then those without.
    placed = np.flatnonzero(is_order)
    delay = (rng.gamma(2.0, 6.0, len(placed)) * 60 + 45).astype(np.int64) * SECOND
    extra_channel, extra_country, extra_time = _orders_without_session(
        plan, rng, days, ledger.expected
    )
    channel = np.r_[month.channel[placed], extra_channel]
    country = np.r_[month.country[placed], extra_country]
    ordered = np.minimum(np.r_[month.started[placed] + delay, extra_time], plan.last_instant)
    session = np.r_[shop.sessions + placed, np.full(len(extra_time), -1)]

    # Who: some buy for the first time, some sign up and buy nothing, the others are known.
    months_done = days.start / len(plan.days)
    new_share = NEW_AMONG_ORDERS[0] + (NEW_AMONG_ORDERS[1] - NEW_AMONG_ORDERS[0]) * months_done
    is_new = rng.random(len(ordered)) < new_share
    is_sign_up = ~is_order & (rng.random(count) < SIGN_UPS_WITHOUT_ORDER)
    is_known = ~is_order & ~is_sign_up & (rng.random(count) < SIGNED_IN)
    signing, known = np.flatnonzero(is_sign_up), np.flatnonzero(is_known)
    now = int(plan.midnights[days.start])
    customer = np.empty(len(ordered), dtype=np.int64)
    buyers = np.flatnonzero(~is_new)
    visits = np.r_[country[buyers], month.country[known]]
    by_partner = is_partner(np.r_[channel[buyers], month.channel[known]])
    drawn = book.draw(rng, visits, by_partner, now)
    customer[buyers] = drawn[: len(buyers)]
    newcomers = book.add(
        rng,
        np.r_[country[is_new], month.country[signing]],
        is_partner(np.r_[channel[is_new], month.channel[signing]]),
        np.r_[ordered[is_new] - 40 * SECOND, month.started[signing] + MINUTE // 2],
    )
    customer[is_new] = newcomers[: int(is_new.sum())]

    who = np.full(count, -1, dtype=np.int64)
    who[known] = drawn[len(buyers) :]
    who[signing] = newcomers[int(is_new.sum()) :]
    who[placed] = customer[: len(placed)]
    for number, first, last in spans:
        visit_index = first + np.flatnonzero(who[first:last] >= 0)
        ledger.hits.append(
            (who[visit_index], month.started[visit_index], np.full(len(visit_index), number))
        )

    sent_elsewhere = rng.random(len(ordered)) < ELSEWHERE
    delivered = np.where(sent_elsewhere, rng.integers(0, len(COUNTRIES), len(ordered)), country)
    ledger.parts.append(Orders(customer, session, channel, delivered.astype(np.int8), ordered))

    visitor = rng.integers(0, plan.volume(_VISITORS), count) + 20_000_000
    visitor = np.where((who >= 0) & ~is_sign_up, who + 1, visitor)
    first_id = shop.sessions + 1
    shop.sessions += count
    return {
        "session_id": ids("s", np.arange(first_id, first_id + count), digits=8),
        "visitor_id": ids("v", visitor, digits=8),
        "customer_id": ids("c", who + 1, digits=7, missing=who < 0),
        "channel": words(month.channel, [c.name for c in CHANNELS]),
        "device": words(month.device, DEVICES),
        "country": words(month.country, [c.code for c in COUNTRIES]),
        "started_at": times(month.started),
    }


def draw_shop(plan: Plan, incidents: list[Incident], folder: Path) -> Shop:
    """Draw customers, sessions and orders; write the sessions and the customers."""
    none = np.empty(0, dtype=np.int64)
    nobody = np.empty(0, dtype=np.int8)
    shop = Shop(
        book=Book(plan),
        orders=Orders(none, none, nobody, nobody, none),
        sessions=0,
        hit_customer=none,
        hit_at=none,
        hit_incident=none,
        sessions_hit=np.zeros(len(incidents), dtype=np.int64),
        orders_expected=np.zeros(len(incidents)),
        orders_placed=np.zeros(len(incidents), dtype=np.int64),
    )
    ledger = _Ledger(expected_sessions(plan), incidents)
    unique = ["session_id", "visitor_id", "customer_id", "started_at"]
    with Sheet(folder / "sessions.parquet", unique=unique) as sheet:
        for days in plan.months:
            sheet.write(_month_of_sales(plan, days, shop, ledger))
    shop.book.write(folder)

    order = np.argsort(np.concatenate([p.ordered for p in ledger.parts]), kind="stable")
    shop.orders = Orders(
        customer=np.concatenate([p.customer for p in ledger.parts])[order],
        session=np.concatenate([p.session for p in ledger.parts])[order],
        channel=np.concatenate([p.channel for p in ledger.parts])[order],
        country=np.concatenate([p.country for p in ledger.parts])[order],
        ordered=np.concatenate([p.ordered for p in ledger.parts])[order],
    )
    if ledger.hits:
        customer, moment, number = (np.concatenate(part) for part in zip(*ledger.hits, strict=True))
        order = np.lexsort((moment, customer))
        shop.hit_customer, shop.hit_at, shop.hit_incident = (
            customer[order],
            moment[order],
            number[order],
        )
    return shop


BEFORE = 15_000  # customers of the years before the first day
_MONTH = 30 * DAY
_FADING = 20.0  # months after which a customer comes back a third as often
_LOYAL = 0.12  # and what is left in the long run
_BUSINESS_PARTNERS = 0.6  # share of businesses among those who come through a partner's API

Codes = NDArray[np.int8]


class Book:
    """Customers in order of signing up; a customer's number is the place in the book."""

    def __init__(self, plan: Plan) -> None:
        """Open the book with the customers of earlier years."""
        rng = plan.stream("customers")
        count = plan.volume(BEFORE)
        shares = np.array([c.share for c in COUNTRIES])
        age = rng.beta(1.0, 1.8, count) * 1_100 * DAY
        self.country = rng.choice(len(COUNTRIES), count, p=shares / shares.sum()).astype(np.int8)
        self.segment = _segments(rng, np.zeros(count, dtype=bool))
        self.signed_up: Ints = plan.midnights[0] - 1 - np.sort(age)[::-1].astype(np.int64)
        self.weight: Floats = rng.lognormal(0.0, 1.1, count)

    def __len__(self) -> int:
        return len(self.country)

    def add(self, rng: Generator, country: Codes, partner: Flags, signed_up: Ints) -> Ints:
        """Enter new customers and return their numbers, in the order given."""
        order = np.argsort(signed_up, kind="stable")
        numbers = np.empty(len(order), dtype=np.int64)
        numbers[order] = len(self) + np.arange(len(order))
        self.country = np.r_[self.country, country[order]]
        self.segment = np.r_[self.segment, _segments(rng, partner[order])]
        self.signed_up = np.r_[self.signed_up, signed_up[order]]
        self.weight = np.r_[self.weight, rng.lognormal(0.0, 1.1, len(order))]
        return numbers

    def draw(self, rng: Generator, country: Codes, partner: Flags, now: int) -> Ints:
        """A known customer for each visit of a country.

        Customers who signed up lately and those who like the shop come more often. Visits
        through a partner's API are made by businesses and developers.
        """
        age = (now - self.signed_up) / _MONTH
        weight = self.weight * (np.exp(-age / _FADING) + _LOYAL)
        chosen = np.zeros(len(country), dtype=np.int64)
        luck = rng.random(len(country))
        for code in range(len(COUNTRIES)):
            at_home = self.country == code
            for by_partner in (False, True):
                visits = np.flatnonzero((country == code) & (partner == by_partner))
                pool = np.flatnonzero(at_home & (self.segment > 0) if by_partner else at_home)
                if not len(pool):  # only in a very small demo
                    pool = np.arange(len(self))
                bounds = np.cumsum(weight[pool])
                place = np.searchsorted(bounds, luck[visits] * bounds[-1], side="right")
                chosen[visits] = pool[np.minimum(place, len(pool) - 1)]
        return chosen

    def write(self, folder: Path) -> int:
        """Write the customers."""
        return write(
            folder / "customers.parquet",
            {
                "customer_id": ids("c", np.arange(len(self)) + 1, digits=7),
                "country": words(self.country, [c.code for c in COUNTRIES]),
                "segment": words(self.segment, SEGMENTS),
                "signed_up_at": times(self.signed_up // 1_000_000 * 1_000_000),
            },
            unique=["customer_id", "signed_up_at"],
        )


def _segments(rng: Generator, partner: Flags) -> Codes:
    """Who signs up: through a partner's API only businesses and developers."""
    luck = rng.random(len(partner))
    bounds = np.cumsum(SEGMENT_SHARE)[:DEVELOPER]
    open_door = np.searchsorted(bounds, luck, side="right")
    return np.where(
        partner, np.where(luck < _BUSINESS_PARTNERS, BUSINESS, DEVELOPER), open_door
    ).astype(np.int8)


def is_partner(channel: Codes) -> Flags:
    """Which visits come through a partner's API."""
    return np.equal(channel, PARTNER)
