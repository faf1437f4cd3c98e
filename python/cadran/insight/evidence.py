"""Days that are compared with other days, and what the result of an analysis rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.core.days import Days, base_of, of_period
from cadran.errors import QueryError, UnknownNameError
from cadran.formats import periods

if TYPE_CHECKING:
    import datetime as dt

    from cadran.core.project.cards import Card
    from cadran.core.result import Break
    from cadran.insight.source import Source


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a result rests on.

    Attributes:
        metrics: that were asked.
        days: the ranges they were asked over.
        count: the members, factors, days or errors behind the result.
        complete_through: the last day that is whole in the sources of the KPI.
        breaks: where published values of the KPI changed their meaning within the ranges. The
            values here are all of the present version.
    """

    metrics: tuple[str, ...]
    days: tuple[Days, ...]
    count: int
    complete_through: dt.date | None = None
    breaks: tuple[Break, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """It as plain values."""
        return {
            "metrics": list(self.metrics),
            "days": [[days.start, days.end] for days in self.days],
            "count": self.count,
            "complete_through": self.complete_through,
            "breaks": [str(change) for change in self.breaks],
        }


def card_of(source: Source, kpi: str) -> Card:
    """The card of a KPI that whoever asks may see.

    Raises:
        UnknownNameError: there is none.
    """
    cards = {card.name: card for card in source.kpis}
    if kpi not in cards:
        raise UnknownNameError("KPI", kpi, cards)
    return cards[kpi]


def whole_days(source: Source, kpi: str, *ranges: Days) -> dt.date | None:
    """The last whole day of a KPI, after the days asked were held against it.

    Raises:
        QueryError: a range is reversed, or holds a day that is not whole.
    """
    through = source.complete_through(kpi)
    for days in ranges:
        if days.start > days.end:
            raise QueryError(f"{days.start} is after {days.end}; exchange the two.")
        if through is not None and days.end > through:
            raise QueryError(
                f"{kpi} is whole until {through}, and {days.end} is asked: end with a day that is"
                " whole, since a part of a day compares with nothing."
            )
    return through


def breaks_within(
    source: Source, card: Card, days: Days, *, may_differ: bool = False
) -> tuple[Break, ...]:
    """Where published values of a KPI changed their meaning within some days, without the first.

    Args:
        source: the numbers.
        card: of the KPI.
        days: the first and the last.
        may_differ: whether the values asked may change their meaning there as well.

    Raises:
        QueryError: they do, and may not.
    """
    if card.name not in source.layer.versioned():
        return ()
    grain = "month" if "month" in card.grains else card.grains[0]
    answer = source.ask([card.name], [f"metric_time__{grain}"], start=days.start, end=days.end)
    within = tuple(
        change
        for change in answer.breaks
        if change.kpi == card.name and change.period.isoformat()[:10] > days.start.isoformat()
    )
    for change in within:
        if change.in_series and not may_differ:
            raise QueryError(
                f"{change}: values before and after it are not like for like, so nothing is"
                " made of their difference."
            )
    return within


def compared(  # noqa: PLR0913 - the ways to say which days are meant
    source: Source,
    kpi: str,
    *,
    period: tuple[str, dt.date] | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
    comparison: str = "previous",
) -> tuple[Days, Days]:
    """The days now and those with which they are compared.

    Args:
        source: the numbers.
        kpi: its name.
        period: the grain and the first day of a period; by default, where no days are given, the
            month of the last whole day.
        start: the first day, instead of a period.
        end: the last day; by default the last whole one.
        comparison: as `base_of` takes it.

    Raises:
        QueryError: a period and days are both given, an end without a start, or no day is whole.
        UnknownNameError: there is no such KPI or comparison.
    """
    card_of(source, kpi)
    through = source.complete_through(kpi)
    if start is None and end is None:
        if period is None:
            if through is None:
                raise QueryError(f"There are no data behind {kpi}.")
            period = "month", periods.start_of(through, "month")
        days = of_period(period[1], period[0], through)
        return days, _known_whole(source, kpi, base_of(days, comparison, period[0]))
    if period is not None or start is None:
        raise QueryError("Name a period, or the days with start and end.")
    last = end or through
    if last is None or last < start:
        raise QueryError(f"No whole day of {kpi} lies between {start} and {last}.")
    days = Days(start, last)
    return days, _known_whole(source, kpi, base_of(days, comparison))


def _known_whole(source: Source, kpi: str, base: Days) -> Days:
    """Days that something is compared with, unless the data of the KPI begin within them."""
    if source.layer.reaches.begins_within(kpi, base.start):
        raise QueryError(
            f"The data of {kpi} begin after {base.start}, the first day that it would be compared"
            " with: name later days, or another comparison."
        )
    return base
