"""The period that a report and recommendations are of: a month, a quarter or a year."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadran.errors import QueryError
from cadran.formats import periods
from cadran.insight.view import period_of, period_text

if TYPE_CHECKING:
    import datetime as dt

GRAINS = ("month", "quarter", "year")
_EXAMPLES = "write 2026-09, 2026-Q3 or 2026."


@dataclass(frozen=True, slots=True)
class Period:
    """A period: as it is written, its length and its days."""

    text: str
    grain: str
    start: dt.date
    end: dt.date

    @classmethod
    def of(cls, start: dt.date, grain: str) -> Period:
        """The period that begins on a day.

        Raises:
            QueryError: it is of another length.
        """
        if grain not in GRAINS:
            raise QueryError(
                "A report and recommendations are of a month, a quarter or a year, not of a"
                f" {grain}: {_EXAMPLES}"
            )
        return cls(period_text(start, grain), grain, start, periods.last_of(start, grain))

    @classmethod
    def read(cls, text: str) -> Period:
        """The period that a text such as 2026-Q3 names.

        Raises:
            QueryError: it is no month, quarter or year.
        """
        try:
            grain, start = period_of(text)
        except QueryError:
            raise QueryError(f"'{text}' is no month, quarter or year: {_EXAMPLES}") from None
        return cls.of(start, grain)

    def shifted(self, steps: int) -> Period:
        """The period so many later, or earlier when negative."""
        return Period.of(periods.shifted(self.start, self.grain, steps), self.grain)

    def months(self) -> list[dt.date]:
        """The first days of its months."""
        return [
            periods.shifted(self.start, "month", step) for step in range(periods.MONTHS[self.grain])
        ]
