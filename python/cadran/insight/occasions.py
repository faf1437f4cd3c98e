"""Days that are like no others, as marks of a chart by day: public holidays, and sales."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cadran.charts.plots import Mark
from cadran.core.project import calendar
from cadran.formats import periods
from cadran.formats.words import words

if TYPE_CHECKING:
    import datetime as dt

    from cadran.core.layer import Layer


def occasions(layer: Layer, first: dt.date, last: dt.date, lang: str = "en") -> list[Mark]:
    """The holidays and the sales of the project's calendar that touch these days, in order.

    Raises:
        CardError: the calendar holds what it cannot hold.
    """
    days = calendar.read(layer.project.root)
    said = words("chart", lang)
    found = [
        Mark(day, said["holiday"].format(day=periods.days(day, day, lang)), "muted", "square")
        for day in days.holidays
        if first <= day <= last
    ]
    found += [
        Mark(
            max(sale.first_day, first),
            f"{sale.name}, {periods.days(sale.first_day, sale.last_day, lang)}",
            "purple",
            "diamond",
        )
        for sale in days.promotions
        if sale.first_day <= last and first <= sale.last_day
    ]
    return sorted(found, key=lambda mark: mark.at)
