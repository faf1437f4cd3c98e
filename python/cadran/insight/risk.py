"""How likely a promise is broken over the next months, from what the last months were.

A coming period is drawn month by month, with replacement, from the months that were (Efron,
"Bootstrap methods: another look at the jackknife", Annals of Statistics 7, 1979), so it is taken
that the coming months are like those, and that one does not depend on the one before. Each month
counts with its own traffic: the budget of the period is overspent where the bad units of the drawn
months are more than what they allow.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations_with_replacement
from math import factorial, prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

METHOD = "monthly-bootstrap-1"
LEAST = 6  # months, below which nothing is said
_DRAWS, _SEED = 20_000, 20_260_101


def breach_probability(
    bad: Sequence[Any], allowed: Sequence[Any], *, months: int = 3
) -> float | None:
    """The probability that an error budget is overspent over the coming months.

    Args:
        bad: bad units of each past month.
        allowed: units that each of them allowed, in the same order.
        months: the length of the coming period.

    Returns:
        A share; None with fewer than six months, or where nothing was allowed. It is exact where
        all draws can be listed, else the share of 20,000 of them, the same ones each time.
    """
    pairs = [(float(b), float(a)) for b, a in zip(bad, allowed, strict=True) if b is not None and a]
    if len(pairs) < LEAST:
        return None
    number = len(pairs) ** months
    if number <= _DRAWS:
        over = sum(
            _orders(drawn)
            for drawn in combinations_with_replacement(range(len(pairs)), months)
            if sum(pairs[at][0] for at in drawn) > sum(pairs[at][1] for at in drawn)
        )
        return float(over / number)
    import numpy as np

    drawn = np.random.default_rng(_SEED).integers(len(pairs), size=(_DRAWS, months))
    months_of = np.asarray(pairs)[drawn].sum(axis=1)
    return float((months_of[:, 0] > months_of[:, 1]).mean())


def _orders(drawn: tuple[int, ...]) -> int:
    """In how many orders the same months are drawn."""
    return factorial(len(drawn)) // prod(map(factorial, Counter(drawn).values()))
