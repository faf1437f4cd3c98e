"""The few rows that break the contract, as real data has them; all else is clean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .plan import Flags, Ints, Plan

UNKNOWN_PRODUCT = "order_lines_of_unknown_product"
DUPLICATE_ORDER = "duplicate_orders"
SCORE_ZERO = "satisfaction_answers_of_score_0"
NOT_OPENED = "tickets_without_opened_at"

FAULTS = {UNKNOWN_PRODUCT: 12, DUPLICATE_ORDER: 7, SCORE_ZERO: 9, NOT_OPENED: 5}
_SMALL = 0.1  # a demo smaller than this has one of each


def faulty_rows(plan: Plan, fault: str, possible: Flags) -> Ints:
    """Positions of the rows that get the fault, among those where it is possible."""
    places = np.flatnonzero(possible)
    count = min(len(places), 1 if plan.scale < _SMALL else FAULTS[fault])
    rng = plan.stream("faults " + fault)
    return np.sort(rng.choice(places, count, replace=False)).astype(np.int64)
