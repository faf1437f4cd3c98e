"""`cadran_calendar.yml`: the days that are like no others, which comparisons have to know of.

    time_zone: Europe/Paris                 # of the days; UTC where it is left out
    holidays: [2026-05-01, 2026-12-25]
    promotions:
      - {name: June sale, first_day: 2026-06-15, last_day: 2026-06-24}

Every key may be left out, as the file may.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cadran.core.project.slos import Zone
from cadran.errors import CardError
from cadran.formats import strict_yaml
from cadran.formats.validation import NOT_TWICE, Date, Strict, Takes, Text

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

FILE = "cadran_calendar.yml"


def _in_order(promotion: Promotion) -> Promotion:
    if promotion.first_day > promotion.last_day:
        raise ValueError(
            f"{promotion.name} ends on {promotion.last_day}, before it begins on"
            f" {promotion.first_day}; exchange the two"
        )
    return promotion


@dataclass(frozen=True, slots=True)
class Promotion(Strict):
    """A time of special demand, its first and last day included."""

    name: Text
    first_day: Date
    last_day: Date


@dataclass(frozen=True, slots=True)
class Calendar(Strict):
    """The days that are like no others.

    Attributes:
        time_zone: in which the days begin and end.
        holidays: public holidays.
        promotions: sales and campaigns.
    """

    time_zone: Zone = "UTC"
    holidays: Annotated[tuple[Date, ...], Takes("a list of dates"), NOT_TWICE] = ()
    promotions: Annotated[
        tuple[Annotated[Promotion, Takes(check=_in_order)], ...],
        Takes("a list of name, first_day and last_day"),
    ] = ()

    def regimes(self) -> list[tuple[dt.date, dt.date]]:
        """First and last day of each promotion, then of each holiday."""
        return [
            *((promotion.first_day, promotion.last_day) for promotion in self.promotions),
            *((day, day) for day in self.holidays),
        ]


def read(root: Path | None) -> Calendar:
    """The calendar of a project; an empty one where it has none.

    Raises:
        CardError: a key is unknown, or holds what it cannot hold.
    """
    if root is None or not (root / FILE).exists():
        return Calendar()
    return strict_yaml.read_as(Calendar, root / FILE, CardError)
