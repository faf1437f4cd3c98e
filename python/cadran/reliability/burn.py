"""Arithmetic of burn: how fast a budget goes, when a tier fires, how long that takes.

The formulas are those of the SRE workbook, chapter 5: a budget burns at 1 when it lasts exactly one
period; a tier of a share of the budget in a long window fires above `share x period / long`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Tier:
    """One pair of windows of an alert policy, for one SLO. Windows are minutes."""

    policy: str
    tier: str
    severity: str
    period_minutes: int
    long_minutes: int
    short_minutes: int
    factor: Decimal
    min_units: int = 0
    min_bad_units: int = 0

    def can_fire(self, target: Decimal) -> bool:
        """Whether an outage of everything would fire it: burn is at most 1 / (1 - target)."""
        return self.factor * (1 - target) < 1

    def detection_minutes(self, target: Decimal, error_ratio: Decimal) -> Decimal | None:
        """Minutes until the long window fires at a constant share of errors; None if never."""
        if error_ratio <= self.factor * (1 - target):
            return None
        return (1 - target) / error_ratio * self.long_minutes * self.factor


def derived(row: dict[str, object], period_minutes: int) -> Tier:
    """A tier of a policy's seed for a period.

    A row gives a share of the budget or the factor itself; with `reference_minutes` its windows are
    those of that period, and scale with it.
    """
    long, short = (int(str(row[key])) for key in ("long_minutes", "short_minutes"))
    reference = row.get("reference_minutes")
    if reference:
        scale = Decimal(period_minutes) / int(str(reference))
        long, short = round(long * scale), round(short * scale)
    factor = (
        Decimal(str(row["factor"]))
        if row.get("factor") is not None
        else Decimal(str(row["budget_share"])) * period_minutes / long
    )
    return Tier(
        policy=str(row["policy"]),
        tier=str(row["tier"]),
        severity=str(row["severity"]),
        period_minutes=period_minutes,
        long_minutes=long,
        short_minutes=short,
        factor=factor,
        min_units=int(str(row.get("min_units") or 0)),
        min_bad_units=int(str(row.get("min_bad_units") or 0)),
    )


def exhaustion_minutes(target: Decimal, period_minutes: int) -> Decimal:
    """How long the budget of a period lasts while everything fails."""
    return (1 - target) * period_minutes
