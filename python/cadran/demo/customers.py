"""The customer book: who has signed up so far, and who comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .columns import ids, times, words, write
from .plan import DAY, Flags, Floats, Ints, Plan
from .world import BUSINESS, COUNTRIES, DEVELOPER, PARTNER, SEGMENT_SHARE, SEGMENTS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator

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
