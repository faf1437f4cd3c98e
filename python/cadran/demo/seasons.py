"""When things happen: seasons, weeks, hours of the day, public holidays, promotions, growth."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from .plan import Flags, Floats, Plan

# Demand in the middle of each month, January first; 1 is an ordinary month.
MONTH_DEMAND = (1.00, 0.92, 0.95, 0.96, 0.97, 1.00, 0.88, 0.80, 0.98, 1.05, 1.18, 1.34)
# Demand by day of the week, Monday first.
FRIDAY, SATURDAY, SUNDAY = 4, 5, 6
SHOP_WEEK = (1.06, 1.00, 0.98, 0.97, 0.94, 0.92, 1.13)
OFFICE_WEEK = (1.30, 1.34, 1.32, 1.28, 1.12, 0.34, 0.30)

# Weight of each hour of a local day.
SHOP_DAY = (
    10, 6, 4, 3, 3, 5, 12, 26, 40, 50, 56, 58,
    64, 60, 54, 52, 54, 60, 68, 78, 90, 84, 56, 26,
)  # fmt: skip
OFFICE_DAY = (2, 1, 1, 1, 1, 2, 6, 20, 62, 90, 98, 92, 66, 78, 96, 94, 86, 66, 36, 20, 14, 10, 6, 3)

HOLIDAY_DEMAND = 0.82


class Promotion(NamedTuple):
    """A sale: days it runs (last included) and what it does."""

    name: str
    first: date
    last: date
    sessions: float
    conversion: float
    discount: float


def easter(year: int) -> date:
    """Easter Sunday, by the anonymous Gregorian algorithm (Meeus, 1991)."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    k = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * k) // 451
    month, day = divmod(h + k - 7 * m + 114, 31)
    return date(year, month, day + 1)


def french_holidays(year: int) -> list[date]:
    """The eleven public holidays of France."""
    fixed = [(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)]
    moving = [easter(year) + timedelta(days=n) for n in (1, 39, 50)]
    return sorted([date(year, m, d) for m, d in fixed] + moving)


def promotions(plan: Plan) -> list[Promotion]:
    """The sales of the period: the week of Black Friday to Cyber Monday, and one in June."""
    found = []
    for year in range(plan.start.year, plan.end.year + 1):
        november = date(year, 11, 1)
        friday = november + timedelta(days=(3 - november.weekday()) % 7 + 22)
        found += [
            Promotion("june_sale", date(year, 6, 15), date(year, 6, 24), 1.30, 1.16, 0.12),
            Promotion(
                "black_friday",
                friday - timedelta(days=4),
                friday + timedelta(days=3),
                1.70,
                1.30,
                0.18,
            ),
        ]
    return [p for p in found if p.last >= plan.start and p.first <= plan.end]


def promotion_days(plan: Plan, promotion: Promotion) -> Flags:
    """Which days of the plan the promotion covers."""
    return (plan.days >= np.datetime64(promotion.first)) & (
        plan.days <= np.datetime64(promotion.last)
    )


def promotion_factor(plan: Plan, effect: str) -> Floats:
    """Product of one effect (`sessions`, `conversion`, `discount` as 1 - x) by day."""
    factor = np.ones(len(plan.days))
    for promotion in promotions(plan):
        size = getattr(promotion, effect)
        covered = promotion_days(plan, promotion)
        factor[covered] *= 1 - size if effect == "discount" else size
    return factor


def weekdays(plan: Plan) -> NDArray[np.int64]:
    """Day of the week of each day, Monday is 0."""
    return (plan.days.astype(np.int64) + 3) % 7


def holidays(plan: Plan) -> Flags:
    """Which days are public holidays in France."""
    every = [d for y in range(plan.start.year, plan.end.year + 1) for d in french_holidays(y)]
    return np.isin(plan.days, np.array(every, dtype="datetime64[D]"))


def yearly(plan: Plan) -> Floats:
    """Demand of the season by day: smooth between the middles of the months."""
    position = (plan.days - plan.days.astype("datetime64[Y]")).astype(np.int64) / 365.25 * 12 - 0.5
    smooth: Floats = np.interp(position, np.arange(12), MONTH_DEMAND, period=12).astype(np.float64)
    return smooth


def growth(plan: Plan, by_year: float) -> Floats:
    """Level by day that grows by a share each year; 1 in the middle of the period."""
    day = np.arange(len(plan.days))
    level: Floats = np.exp(np.log1p(by_year) * (day - len(day) / 2) / 365.25)
    return level


def shop_demand(plan: Plan) -> Floats:
    """Season x week x holiday x promotion of the shop by day, without growth."""
    week = np.array(SHOP_WEEK)[weekdays(plan)]
    feast = np.where(holidays(plan), HOLIDAY_DEMAND, 1.0)
    demand: Floats = yearly(plan) * week * feast * promotion_factor(plan, "sessions")
    return demand


def office_demand(plan: Plan) -> Floats:
    """Week x holiday of what people do at work, by day."""
    week: Floats = np.array(OFFICE_WEEK)[weekdays(plan)]
    return np.where(holidays(plan), OFFICE_WEEK[-1], week)


def clock(rng: Generator, count: int, shape: Sequence[float]) -> Floats:
    """Seconds of the local day, spread as the 24 hourly weights say."""
    bounds = np.r_[0.0, np.cumsum(shape)] / np.sum(shape)
    seconds: Floats = np.interp(rng.random(count), bounds, np.arange(25)) * 3600
    return np.minimum(seconds, 86_399.0)
