"""The effect of a changed definition on one period, by member of a dimension, exactly.

An additive KPI changes by the sum over the members. For a ratio N/D a member m carries
(n2 - R1*d2)/D2 - (n1 - R1*d1)/D1, which adds up to R2 - R1. Other KPIs cannot be split.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime as dt

    from cadran.cards import Card

_PLACES = Decimal("1e-12")
_ROUNDING = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the bridge: published, data, definition, unallocated or now."""

    step: str
    member: str | None
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Value:
    """A value with the two sides of a ratio, exactly."""

    exact: Decimal
    numerator: Fraction | None
    denominator: Fraction | None

    @classmethod
    def of(cls, row: dict[str, Any]) -> Value:
        """The value of a row; nothing there is zero."""
        sides = (row.get("numerator"), row.get("denominator"))
        top, below = (Fraction(str(side)) if side is not None else None for side in sides)
        return cls(Decimal(str(row["value"] or 0)), top, below)


@dataclass(frozen=True, slots=True)
class Sides:
    """The last values by an old definition and the first ones by a new one, whole and by member."""

    before: Value
    before_at: dt.datetime
    members_before: dict[Any, Value]
    after: Value | None
    members_after: dict[Any, Value]

    @classmethod
    def of(cls, rows: list[dict[str, Any]], old: int, new: int, by: str | None) -> Sides:
        """What the ledger holds of them; nothing after where the new one was not published."""
        first = next((r for r in rows if r["version"] == new and r["dimensions"] == "{}"), None)
        olds = [
            r for r in rows
            if r["version"] == old and (first is None or r["batch"] < first["batch"])
        ]  # fmt: skip
        last = next(r for r in reversed(olds) if r["dimensions"] == "{}")
        news = [r for r in rows if first is not None and r["batch"] == first["batch"]]
        return cls(
            Value.of(last), last["published_at"],
            {r["member"]: Value.of(r) for r in olds if r["dimension_set"] == by},
            Value.of(first) if first else None,
            {r["member"]: Value.of(r) for r in news if r["dimension_set"] == by},
        )  # fmt: skip

    def notes(self, old: int, card: Card) -> list[str]:
        """What a reader should know of the two."""
        unlike = f"{card.label} changed its meaning from version {old} to {card.version}"
        last = f"The old definition's value is the last that was published by version {old}"
        return [
            f"{unlike}: what was published and what is now are not like for like.",
            f"{last}, of {self.before_at:%Y-%m-%d %H:%M}.",
        ]


def effect_of(additivity: str, sides: Sides) -> list[Step]:
    """The effect of a definition by member; as one step where it cannot be split."""
    old, new = sides.before, sides.after
    assert new is not None  # noqa: S101 - `bridge` fills it
    whole = new.exact - old.exact
    zero = Value(Decimal(0), Fraction(0), Fraction(0))
    ratio = None
    if old.numerator is not None and old.denominator and new.denominator:
        ratio = old.numerator / old.denominator
    before, after = sides.members_before, sides.members_after
    if not before or not after or (ratio is None and additivity != "additive"):
        return [Step("definition", None, whole)] if whole else []
    steps = []
    for member in sorted({*before, *after}, key=str):
        one, two = before.get(member, zero), after.get(member, zero)
        if ratio is None:
            amount = two.exact - one.exact
        else:
            exact = _share(two, new, ratio) - _share(one, old, ratio)
            amount = (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(_PLACES)
        steps.append(Step("definition", member, amount))
    left = whole - sum((step.amount for step in steps), Decimal(0))
    if left and abs(left) <= _ROUNDING * max(abs(new.exact), Decimal(1)):
        largest = max(range(len(steps)), key=lambda at: abs(steps[at].amount))
        rounded = steps[largest]
        steps[largest] = Step(rounded.step, rounded.member, rounded.amount + left)
        left = Decimal(0)
    return [*steps, Step("unallocated", None, left)] if left else steps


def _share(part: Value, whole: Value, ratio: Fraction) -> Fraction:
    top, below = part.numerator or Fraction(0), part.denominator or Fraction(0)
    return (top - ratio * below) / (whole.denominator or Fraction(1))
