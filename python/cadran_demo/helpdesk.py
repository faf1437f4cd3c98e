"""Support tickets and their events, answered mostly in office hours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cadran_demo.arrow import (
    NOT_OPENED,
    SCORE_ZERO,
    faulty_rows,
    ids,
    integers,
    times,
    words,
    write,
)
from cadran_demo.world import (
    ACCOUNTS,
    CHECKOUT,
    DAY,
    HOUR,
    MINUTE,
    OFFICE_DAY,
    PRIORITIES,
    PUBLIC_API,
    SATURDAY,
    SEARCH,
    SECOND,
    SHOP_DAY,
    STOREFRONT,
    SUNDAY,
    TEAMS,
    TOPICS,
    Flags,
    Floats,
    Ints,
    Plan,
    clock,
    growth,
    holidays,
    office_demand,
    promotion_factor,
    shop_demand,
    weekdays,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator

    from cadran_demo.platform import Incident
    from cadran_demo.shop import Shop


PER_ORDER = 0.148  # tickets that follow an order
API_TICKETS, ACCOUNT_TICKETS = 5_400, 5_900
ANONYMOUS = 0.10
REOPENED, RESOLVED_AGAIN = 0.062, 0.96
_AFTER_END = 60  # days the office calendar goes on, for answers that have not come yet

# By topic: team, and share of its team's usual tickets (0: only incidents bring it).
_TEAM = (0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 0, 1, 0, 2, 3)
_USUAL = (0.34, 0.12, 0.20, 0.14, 0.08, 0.12, 0.70, 0.30, 0.45, 0.55)
_ORDER_TOPICS, _API_TOPICS, _ACCOUNT_TOPICS = slice(0, 6), slice(6, 8), slice(8, 10)
_INCIDENT_TOPIC = {STOREFRONT: 10, CHECKOUT: 11, SEARCH: 12, PUBLIC_API: 13, ACCOUNTS: 14}

_PRIORITY = (0.05, 0.19, 0.56, 0.20)
_INCIDENT_PRIORITY = ((0.40, 0.40, 0.18, 0.02), (0.20, 0.42, 0.34, 0.04), (0.05, 0.25, 0.55, 0.15))
# By priority: middle time to the first reply and from there to the end, in minutes of work.
_REPLY = (18.0, 60.0, 200.0, 400.0)
_WORK = (120.0, 170.0, 430.0, 700.0)
_TEAM_PACE = (1.0, 0.9, 1.2, 0.8)
_SPREAD = 0.85
# Wall-clock hours in which customers expect a solution.
TARGET_HOURS = (8, 24, 72, 120)


@dataclass(slots=True)
class Tickets:
    """All tickets by opening; `customer` and `incident` are -1, `resolved` 0 where none."""

    customer: Ints
    topic: Ints
    priority: Ints
    opened: Ints
    incident: Ints
    resolved: Ints


class _Office:
    """Counts minutes of work: weekdays 8 to 19, Saturdays 9 to 17, no public holidays."""

    def __init__(self, plan: Plan) -> None:
        day_count = len(plan.days)
        begins = np.r_[plan.midnights[:-1], plan.midnights[-1] + np.arange(_AFTER_END) * DAY]
        weekday = (weekdays(plan)[0] + np.arange(day_count + _AFTER_END)) % 7
        closed = np.r_[holidays(plan), np.zeros(_AFTER_END, dtype=bool)] | (weekday == SUNDAY)
        self._base = int(begins[0])
        is_open = np.zeros((day_count + _AFTER_END + 1) * 1_440, dtype=bool)
        for day in np.flatnonzero(~closed):
            first, last = (9, 17) if weekday[day] == SATURDAY else (8, 19)
            midnight = (int(begins[day]) - self._base) // MINUTE
            is_open[midnight + first * 60 : midnight + last * 60] = True
        self._worked = np.cumsum(is_open)

    def after(self, instant: Ints, minutes: Floats) -> Ints:
        """The instants after so many minutes of work; to the second."""
        place = np.minimum((instant - self._base) // MINUTE, len(self._worked) - 1)
        goal = self._worked[place] + np.ceil(minutes).astype(np.int64)
        index = np.searchsorted(self._worked, goal)
        return self._base + index * MINUTE + instant % MINUTE // SECOND * SECOND


def _usual(plan: Plan, rng: Generator, shop: Shop) -> tuple[Ints, Ints, Ints]:
    """Customer, topic and opening of the tickets that no incident brings."""
    placed = np.flatnonzero(rng.random(len(shop.orders)) < PER_ORDER)
    day = plan.day_of(shop.orders.ordered[placed]) + rng.geometric(0.28, len(placed))
    in_time = day < len(plan.days)
    placed, day = placed[in_time], day[in_time]
    customers, topics = (
        [shop.orders.customer[placed]],
        [_topics(rng, _ORDER_TOPICS, len(placed))],
    )
    opened = [plan.instant(day, clock(rng, len(placed), SHOP_DAY))]
    for volume, topic, demand, shape in (
        (API_TICKETS, _API_TOPICS, office_demand(plan) * growth(plan, 0.30), OFFICE_DAY),
        (ACCOUNT_TICKETS, _ACCOUNT_TOPICS, shop_demand(plan) * growth(plan, 0.14), SHOP_DAY),
    ):
        counts = rng.poisson(demand * (volume * plan.scale / demand.sum()))
        day = np.repeat(np.arange(len(counts)), counts)
        moment = plan.instant(day, clock(rng, len(day), shape))
        customer_count = np.searchsorted(shop.book.signed_up, moment)
        customers.append((rng.random(len(moment)) * customer_count).astype(np.int64))
        topics.append(_topics(rng, topic, len(moment)))
        opened.append(moment)
    customer = np.concatenate(customers)
    customer[rng.random(len(customer)) < ANONYMOUS] = -1
    return customer, np.concatenate(topics), np.concatenate(opened)


def _topics(rng: Generator, topics: slice, count: int) -> Ints:
    shares = np.array(_USUAL[topics])
    chosen: Ints = topics.start + rng.choice(len(shares), count, p=shares / shares.sum()).astype(
        np.int64
    )
    return chosen


def _of_incident(
    plan: Plan, rng: Generator, shop: Shop, number: int, incident: Incident
) -> tuple[Ints, Ints]:
    """Customer and opening of the tickets an incident brings, most within a few hours."""
    count = rng.poisson(incident.tickets * plan.scale)
    moment = incident.started + (rng.gamma(1.8, 1.3, count) * 3600).astype(np.int64) * SECOND
    moment += 4 * MINUTE
    moment = moment[moment <= plan.last_instant]
    affected = np.unique(shop.hit_customer[shop.hit_incident == number])
    if len(affected):
        customer = rng.choice(affected, len(moment))
    else:
        customer_count = int(np.searchsorted(shop.book.signed_up, incident.started))
        customer = rng.integers(0, max(customer_count, 1), len(moment))
    customer[rng.random(len(moment)) < ANONYMOUS] = -1
    return customer, moment


def _draw(plan: Plan, shop: Shop, incidents: list[Incident]) -> Tickets:
    rng = plan.stream("tickets")
    customer, topic, opened = _usual(plan, rng, shop)
    priority = rng.choice(len(PRIORITIES), len(opened), p=_PRIORITY)
    columns = [[customer], [topic], [priority], [opened], [np.full(len(opened), -1)]]
    for number, incident in enumerate(incidents):
        rng = plan.stream("tickets of incidents", number)
        who, when = _of_incident(plan, rng, shop, number, incident)
        urgency = rng.choice(4, len(when), p=_INCIDENT_PRIORITY[incident.severity])
        about = np.full(len(when), _INCIDENT_TOPIC[incident.service])
        for column, values in zip(
            columns, (who, about, urgency, when, np.full(len(when), number)), strict=True
        ):
            column.append(values)
    whole = [np.concatenate(column).astype(np.int64) for column in columns]
    order = np.argsort(whole[3], kind="stable")
    customer, topic, priority, opened, of_incident = (column[order] for column in whole)
    return Tickets(customer, topic, priority, opened, of_incident, np.zeros_like(opened))


def _events(plan: Plan, tickets: Tickets) -> tuple[Ints, Ints, Ints]:
    """Ticket, kind and instant of every event so far; sets `resolved` on the tickets."""
    rng, office = plan.stream("ticket_events"), _Office(plan)
    count = len(tickets.opened)
    team = np.array(_TEAM)[tickets.topic]
    busy = np.where(promotion_factor(plan, "sessions") > 1, 1.35, 1.0)[plan.day_of(tickets.opened)]
    pace = np.array(_TEAM_PACE)[team] * busy * np.where(tickets.incident >= 0, 1.2, 1.0)
    urgent = tickets.priority == 0

    def later(instant: Ints, middle: tuple[float, ...]) -> Ints:
        minutes = np.array(middle)[tickets.priority] * pace * rng.lognormal(0, _SPREAD, count) + 2
        around_the_clock = instant + (minutes * 60).astype(np.int64) * SECOND
        return np.where(urgent, around_the_clock, office.after(instant, minutes))

    replied = later(tickets.opened, _REPLY)
    resolved = later(replied, _WORK)
    reopened = office.after(resolved, rng.gamma(1.5, 500.0, count) + 20)
    again = later(reopened, _WORK)
    comes_back = (rng.random(count) < REOPENED) & (reopened <= plan.last_instant)
    ends = comes_back & (rng.random(count) < RESOLVED_AGAIN) & (again <= plan.last_instant)
    tickets.resolved = np.where(resolved <= plan.last_instant, resolved, 0)

    steps: tuple[tuple[Flags, Ints, int], ...] = (
        (np.ones(count, dtype=bool), tickets.opened, 0),
        (replied <= plan.last_instant, replied, 1),
        (resolved <= plan.last_instant, resolved, 2),
        (comes_back, reopened, 3),
        (ends, again, 2),
    )
    ticket = np.concatenate([np.flatnonzero(mask) for mask, _, _ in steps])
    moment = np.concatenate([when[mask] for mask, when, _ in steps])
    kind = np.concatenate([np.full(int(mask.sum()), code) for mask, _, code in steps])
    order = np.argsort(moment, kind="stable")
    return ticket[order], kind[order], moment[order]


def draw_tickets(
    plan: Plan, shop: Shop, incidents: list[Incident]
) -> tuple[Tickets, Ints, Ints, Ints]:
    """All tickets, and the ticket, kind and instant of all their events."""
    tickets = _draw(plan, shop, incidents)
    return tickets, *_events(plan, tickets)


def write_tickets(
    plan: Plan, tickets: Tickets, events: tuple[Ints, Ints, Ints], responders: Ints, folder: Path
) -> dict[str, int]:
    """Write tickets and events; return the faults put in, on tickets nobody answered about."""
    quiet = tickets.incident < 0
    quiet[responders] = False
    not_opened = faulty_rows(plan, NOT_OPENED, quiet)
    missing = np.zeros(len(tickets.opened), dtype=bool)
    missing[not_opened] = True
    ticket, kind, moment = events
    write(
        folder / "tickets.parquet",
        {
            "ticket_id": ids("t", np.arange(len(missing)) + 1, digits=7),
            "customer_id": ids("c", tickets.customer + 1, digits=7, missing=tickets.customer < 0),
            "team": words(np.array(_TEAM)[tickets.topic], TEAMS),
            "priority": words(tickets.priority, PRIORITIES),
            "topic": words(tickets.topic, TOPICS),
            "opened_at": times(tickets.opened, missing=missing),
        },
        unique=["ticket_id", "customer_id", "opened_at"],
    )
    write(
        folder / "ticket_events.parquet",
        {
            "event_id": ids("e", np.arange(len(ticket)) + 1, digits=8),
            "ticket_id": ids("t", ticket + 1, digits=7),
            "event_type": words(kind, ["opened", "replied", "resolved", "reopened"]),
            "occurred_at": times(moment),
        },
        unique=["event_id", "ticket_id", "occurred_at"],
    )
    return {NOT_OPENED: len(not_opened), "events_of_these_tickets": int(missing[ticket].sum())}


def in_target(tickets: Tickets) -> Flags:
    """Which tickets were resolved in the time their priority promises."""
    limit = np.array(TARGET_HOURS)[tickets.priority] * HOUR
    return (tickets.resolved > 0) & (tickets.resolved - tickets.opened <= limit)


AFTER_PURCHASE, AFTER_SUPPORT = 0.345, 0.305  # share that answers
ANONYMOUS_ANSWERS = 0.04
MEMORY_DAYS = 7  # how long an incident is held against the shop
# Shares of the scores 1 to 5.
PURCHASE = (0.030, 0.042, 0.088, 0.350, 0.490)
SUPPORT = (0.050, 0.060, 0.100, 0.330, 0.460)
BAD = (0.340, 0.250, 0.180, 0.140, 0.090)
_LATE = 0.25  # weight of the bad mood where the solution came later than promised


@dataclass(slots=True)
class Mood:
    """The truth about satisfaction by incident."""

    answers: Ints  # of those it hit
    satisfied_usual: Floats  # how many would have given 4 or 5 without it
    satisfied: Floats  # how many can be expected to, with it
    points: Floats  # sum of the expected change of the score


def _incident_remembered(shop: Shop, customer: Ints, moment: Ints) -> Ints:
    """The last incident each customer met in the days before; -1 where none."""
    if not len(shop.hit_customer):
        return np.full(len(customer), -1, dtype=np.int64)
    # One number for customer and time, so that one search finds both.
    origin = int(shop.hit_at.min()) - DAY
    span = np.int64(1) << 34  # seconds: more than any period
    keys = shop.hit_customer * span + (shop.hit_at - origin) // SECOND
    purchase_key = customer * span + np.maximum((moment - origin) // SECOND, 0)
    place = np.searchsorted(keys, purchase_key, side="right") - 1
    index = np.maximum(place, 0)
    remembered = (
        (place >= 0)
        & (shop.hit_customer[index] == customer)
        & (moment - shop.hit_at[index] <= MEMORY_DAYS * DAY)
    )
    return np.where(remembered, shop.hit_incident[index], -1)


def _after_purchases(plan: Plan, shop: Shop) -> tuple[Ints, Ints]:
    """Customer and time of the answers after purchases, one to six days later."""
    rng = plan.stream("answers after purchases")
    orders = shop.orders
    sampled = np.flatnonzero((rng.random(len(orders)) < AFTER_PURCHASE) & ~orders.cancelled)
    day = plan.day_of(orders.ordered[sampled]) + rng.integers(1, 7, len(sampled))
    in_time = day < len(plan.days)
    moment = plan.instant(day[in_time], clock(rng, int(in_time.sum()), SHOP_DAY))
    return orders.customer[sampled][in_time], moment


def _after_support(plan: Plan, tickets: Tickets) -> tuple[Ints, Ints]:
    """Ticket and time of the answers after tickets, within a day or so of their solution."""
    rng = plan.stream("answers after tickets")
    sampled = np.flatnonzero(
        (rng.random(len(tickets.opened)) < AFTER_SUPPORT) & (tickets.resolved > 0)
    )
    delay = (rng.exponential(9.0, len(sampled)) * HOUR / SECOND).astype(np.int64) * SECOND
    moment = tickets.resolved[sampled] + delay + 60 * SECOND
    in_time = moment <= plan.last_instant
    return sampled[in_time], moment[in_time]


def draw_answers(
    plan: Plan, shop: Shop, tickets: Tickets, incidents: list[Incident], folder: Path
) -> tuple[Mood, Ints, dict[str, int]]:
    """Write the answers; return their truth, the tickets answered about and the faults put in."""
    buyer, bought = _after_purchases(plan, shop)
    ticket, solved = _after_support(plan, tickets)
    count = len(buyer) + len(ticket)
    support = np.arange(count) >= len(buyer)
    customer = np.r_[buyer, tickets.customer[ticket]]
    ticket_of = np.r_[np.full(len(buyer), -1), ticket]
    moment = np.r_[bought, solved]
    late = np.r_[np.zeros(len(buyer), dtype=bool), ~in_target(tickets)[ticket]]
    order = np.argsort(moment, kind="stable")
    support, customer, ticket_of = support[order], customer[order], ticket_of[order]
    moment, late = moment[order], late[order]

    # What brought the ticket counts first, then what the customer met as a visitor.
    own = np.where(ticket_of >= 0, tickets.incident[ticket_of], -1)
    incident = np.where(own >= 0, own, _incident_remembered(shop, customer, moment))
    weight_of = np.array([i.mood for i in incidents] or [0.0])
    weight = np.where(incident >= 0, weight_of[incident], 0.0)

    rng = plan.stream("scores")
    usual = np.where(support[:, None], SUPPORT, PURCHASE)
    usual = usual + np.where(late, _LATE, 0.0)[:, None] * (np.array(BAD) - usual)
    chances = usual + weight[:, None] * (np.array(BAD) - usual)
    luck = rng.random(count)
    score = 1 + (luck[:, None] >= np.cumsum(chances, axis=1)[:, :-1]).sum(axis=1)
    mood = _truth(incident, usual, chances, len(incidents))

    zero = faulty_rows(plan, SCORE_ZERO, incident < 0)
    score[zero] = 0
    nameless = (customer < 0) | (rng.random(count) < ANONYMOUS_ANSWERS)
    write(
        folder / "satisfaction_answers.parquet",
        {
            "answer_id": ids("a", np.arange(count) + 1, digits=7),
            "customer_id": ids("c", customer + 1, digits=7, missing=nameless),
            "ticket_id": ids("t", ticket_of + 1, digits=7, missing=ticket_of < 0),
            "touchpoint": words(support.astype(np.int64), ["purchase", "support"]),
            "score": integers(score),
            "answered_at": times(moment),
        },
        unique=["answer_id", "customer_id", "ticket_id", "answered_at"],
    )
    return mood, ticket, {SCORE_ZERO: len(zero)}


def _truth(incident: Ints, usual: Floats, chances: Floats, incidents: int) -> Mood:
    hit = np.flatnonzero(incident >= 0)
    points = np.arange(1, 6)

    def by_incident(values: Floats) -> Floats:
        sums = np.bincount(incident[hit], values, incidents)
        return sums.astype(np.float64)

    return Mood(
        answers=np.bincount(incident[hit], minlength=incidents),
        satisfied_usual=by_incident(usual[hit, 3:].sum(axis=1)),
        satisfied=by_incident(chances[hit, 3:].sum(axis=1)),
        points=by_incident((chances - usual)[hit] @ points),
    )
