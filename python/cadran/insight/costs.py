"""What incidents cost, in words, for those who see all that the estimate is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadran.errors import CadranError
from cadran.formats import numbers
from cadran.insight import impact
from cadran.insight.readings import ENDING

if TYPE_CHECKING:
    from cadran.insight.harm import Effect
    from cadran.insight.impact import Impact
    from cadran.insight.readings import Reader
    from cadran.insight.wording import Words

# Whoever is told an estimate sees these as a whole: it is made of them, and so is who had it read.
_NEEDED = ("incident_count", "order_count", "net_revenue")


@dataclass(frozen=True, slots=True)
class Cost:
    """What an incident cost, or several did.

    Attributes:
        orders: how many are missing.
        received: orders that came and those to be expected; empty of several incidents.
        loss: revenue lost.
        interval: between what and what it lies.
        is_measurable: whether orders were lost beyond what chance does.
        why: why there is no loss, or no estimate.
        amount: revenue lost as a number, None without an estimate.
    """

    orders: str = numbers.DASH
    received: str = ""
    loss: str = numbers.DASH
    interval: str = ""
    is_measurable: bool = False
    why: str = ""
    amount: float | None = None


def may_be_told(reader: Reader) -> bool:
    """Whether whoever asks may be told what incidents cost."""
    return all(reader.whole(kpi) for kpi in _NEEDED)


def impacts(reader: Reader) -> dict[str, Impact] | None:
    """What each incident cost, by incident; None where whoever asks may not be told."""
    if not may_be_told(reader):
        return None

    def estimate() -> dict[str, Impact]:
        return {one.incident_id: one for one in impact.of_all(reader.source).impacts}

    try:
        return reader.cached_for("impacts", estimate)
    except ENDING:
        raise
    except CadranError:
        return None


def cost_of(one: Impact, w: Words) -> Cost:
    """The cost of one incident in words."""
    orders, money = one.effects.get("orders"), one.effects.get("net_revenue")
    if orders is None:
        return Cost(why=w("not_estimated", why=one.absent.get("orders", "")))
    expected = w.number(orders.expected)
    if not orders.is_measurable:
        return Cost(
            received=w("orders_expected", n=w.number(orders.actual), expected=expected),
            loss=w("no_loss"),
            why=w("no_loss_why", n=w.number(orders.actual), expected=expected),
            amount=0.0,
        )
    return Cost(
        orders=w.number(orders.interval.estimate),
        received=w("orders_expected", n=w.number(orders.actual), expected=expected),
        loss=_money(money, w),
        interval=_between(money, w),
        is_measurable=True,
        amount=None if money is None else money.interval.estimate,
    )


def _money(effect: Effect | None, w: Words) -> str:
    if effect is None:
        return numbers.DASH
    return numbers.measure(effect.interval.estimate, effect.unit, lang=w.lang)


def _between(effect: Effect | None, w: Words) -> str:
    if effect is None:
        return ""
    low, high = (
        numbers.measure(max(bound, 0.0), effect.unit, lang=w.lang)
        for bound in (effect.interval.lower, effect.interval.upper)
    )
    return w("between", low=low, high=high)
