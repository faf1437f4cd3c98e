"""Satisfaction answers after purchases and tickets, worse for those whom an incident hit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .columns import ids, integers, times, words, write
from .faults import SCORE_ZERO, faulty_rows
from .helpdesk import Tickets, in_target
from .plan import DAY, HOUR, SECOND, Floats, Ints, Plan
from .seasons import SHOP_DAY, clock

if TYPE_CHECKING:
    from pathlib import Path

    from .operations import Incident
    from .shop import Shop

AFTER_PURCHASE, AFTER_SUPPORT = 0.345, 0.305  # share that answers
ANONYMOUS = 0.04
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
    asked = customer * span + np.maximum((moment - origin) // SECOND, 0)
    place = np.searchsorted(keys, asked, side="right") - 1
    found = np.maximum(place, 0)
    remembered = (
        (place >= 0)
        & (shop.hit_customer[found] == customer)
        & (moment - shop.hit_at[found] <= MEMORY_DAYS * DAY)
    )
    return np.where(remembered, shop.hit_incident[found], -1)


def _after_purchases(plan: Plan, shop: Shop) -> tuple[Ints, Ints]:
    """Customer and time of the answers after purchases, one to six days later."""
    rng = plan.stream("answers after purchases")
    orders = shop.orders
    asked = np.flatnonzero((rng.random(len(orders)) < AFTER_PURCHASE) & ~orders.cancelled)
    day = plan.day_of(orders.ordered[asked]) + rng.integers(1, 7, len(asked))
    in_time = day < len(plan.days)
    when = plan.instant(day[in_time], clock(rng, int(in_time.sum()), SHOP_DAY))
    return orders.customer[asked][in_time], when


def _after_support(plan: Plan, tickets: Tickets) -> tuple[Ints, Ints]:
    """Ticket and time of the answers after tickets, within a day or so of their solution."""
    rng = plan.stream("answers after tickets")
    asked = np.flatnonzero(
        (rng.random(len(tickets.opened)) < AFTER_SUPPORT) & (tickets.resolved > 0)
    )
    delay = (rng.exponential(9.0, len(asked)) * HOUR / SECOND).astype(np.int64) * SECOND
    when = tickets.resolved[asked] + delay + 60 * SECOND
    in_time = when <= plan.last_instant
    return asked[in_time], when[in_time]


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
    nameless = (customer < 0) | (rng.random(count) < ANONYMOUS)
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
