"""Plots over days of a month and over instants: a budget that is spent, what a service saw."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any

from cadran.charts.picture import (
    Column,
    Curve,
    Dot,
    End,
    Plot,
    Rule,
    Scale,
    Table,
    Tick,
    apart,
    scale,
    thinned,
)
from cadran.charts.plots import END_PIXELS, stamp, value_ticks
from cadran.formats import periods
from cadran.formats.numbers import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cadran.charts.picture import Point, Tone
    from cadran.charts.plots import Mark

_QUARTER = 0.25
_DAY = 86400.0  # seconds
_DEEPEST = -1.0  # of a budget, below which its scale takes steps of its own
_MOST_DAYS = 8
_STEPS = tuple(dt.timedelta(minutes=minutes) for minutes in (15, 30, 60, 120, 180, 360, 720, 1440))
_MOST_INSTANTS = 7


def burndown(  # noqa: PLR0913 - values, their words and what is marked
    remaining: Mapping[dt.date, Any],
    *,
    title: str,
    words: tuple[str, str, str],
    limits: Sequence[tuple[float, str]] = (),
    events: Sequence[Mark] = (),
    lang: str = "en",
    height: int = 280,
) -> Plot:
    """What is left of a budget at the end of each day of a month, beside an even pace.

    Args:
        remaining: by day, as a fraction; a day without one is left out.
        title: what a screen reader says.
        words: of the column of days, of what is left, and of the even pace.
        limits: shares of the budget below which something holds, with what.
        events: what happened, in the lane below.
        lang: of labels and figures.
        height: of the plot in pixels.
    """
    days = sorted(day for day, value in remaining.items() if value is not None)
    if not days:
        return Plot(title, height=height)
    head, left, even = words
    count = (days[-1] - days[0]).days + 1
    values = {day: float(remaining[day]) for day in days}
    axis = _budget_scale(min(*values.values(), 0.0))
    points: list[Point] = [(0.0, axis.from_top(1.0))]
    points += [(((day - days[0]).days + 1) / count, axis.from_top(values[day])) for day in days]
    last = values[days[-1]]
    tone: Tone = "bad" if last < 0 else "blue"
    rules = [Rule(None, axis.from_top(share), text, "near") for share, text in limits]
    if axis.low < 0:
        rules.append(Rule(None, axis.from_top(0.0), "", "bad"))
    ends = (
        End(points[-1][1], measure(last, "%", decimals=1, lang=lang), left, tone),
        End(axis.from_top(0.0), "", even, "muted", "dashed"),
    )
    every = [days[0] + dt.timedelta(days=index) for index in range(count)]
    return Plot(
        title,
        x=thinned(
            [Tick((index + 0.5) / count,
                  str(day.day) if index else periods.short(day, "day", lang))
             for index, day in enumerate(every)],
            _MOST_DAYS,
        ),
        y=tuple(Tick(axis.from_top(v), measure(v, "%", lang=lang)) for v in axis.ticks),
        curves=(
            Curve(
                (((0.0, axis.from_top(1.0)), (1.0, axis.from_top(0.0))),), "muted", "dashed"
            ),
            Curve((tuple(points),), tone, filled=axis.low == 0),
        ),
        dots=(Dot(*points[-1], tone, title=ends[0].value),),
        events=tuple(
            Dot((stamp(mark.at) - stamp(days[0])) / (count * _DAY), 0.5, mark.tone, mark.shape,
                mark.text)
            for mark in events
            if stamp(days[0]) <= stamp(mark.at) < stamp(days[0]) + count * _DAY
        ),
        rules=tuple(rules),
        ends=apart(ends, END_PIXELS / height),
        table=Table(
            (head, left),
            tuple(
                (periods.label(day, "day", lang),
                 measure(values[day], "%", decimals=1, lang=lang))
                for day in reversed(days)
            ),
        ),
        height=height,
    )  # fmt: skip


def _budget_scale(least: float) -> Scale:
    """From what is least, in quarters of the budget, to all of it; deeper ones in round steps."""
    if least < _DEEPEST:
        return scale([least, 1.0])
    low = math.floor(least / _QUARTER - 1e-9) * _QUARTER if least < 0 else 0.0
    count = round((1.0 - low) / _QUARTER)
    return Scale(low, 1.0, tuple(low + index * _QUARTER for index in range(count + 1)))


def course(  # noqa: PLR0913 - values, their axis and what is marked on it
    values: Mapping[dt.datetime, Any],
    first: dt.datetime,
    last: dt.datetime,
    *,
    title: str,
    clock: Callable[[dt.datetime], str],
    unit: str = "",
    tone: Tone = "blue",
    stretch: tuple[dt.datetime, dt.datetime] | None = None,
    marks: Sequence[tuple[dt.datetime, str]] = (),
    lang: str = "en",
    height: int = 110,
) -> Plot:
    """Values by instant between two instants, on an axis of clock times.

    Args:
        values: by the start of their minute or hour.
        first: the left end.
        last: the right end.
        title: what a screen reader says.
        clock: an instant as the axis has it.
        unit: of the values.
        tone: of the line.
        stretch: from when to when the plot is tinted.
        marks: upright lines with their texts.
        lang: of labels and figures.
        height: of the plot in pixels.
    """
    known = {at: float(v) for at, v in sorted(values.items()) if v is not None}
    span = last - first
    axis = scale(known.values(), most=3)
    points = tuple(((at - first) / span, axis.from_top(v)) for at, v in known.items())
    tinted: tuple[Column, ...] = ()
    if stretch is not None:
        left, right = (min(max((at - first) / span, 0.0), 1.0) for at in stretch)
        tinted = (Column(left, 0.0, max(right - left, 0.002), 1.0, "bad", soft=True),)
    return Plot(
        title,
        x=_clock_ticks(first, last, clock),
        y=value_ticks(axis, unit, lang),
        columns=tinted,
        curves=(Curve((points,), tone, filled=True),) if points else (),
        rules=tuple(
            Rule((at - first) / span, None, text) for at, text in marks if first <= at <= last
        ),
        height=height,
    )


def _clock_ticks(
    first: dt.datetime, last: dt.datetime, clock: Callable[[dt.datetime], str]
) -> tuple[Tick, ...]:
    """Round times of day, few enough to be read."""
    span = last - first
    step = next((step for step in _STEPS if span / step <= _MOST_INSTANTS), _STEPS[-1])
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight + math.ceil((first - midnight) / step) * step
    ticks = []
    while at <= last:
        ticks.append(Tick((at - first) / span, clock(at)))
        at += step
    return tuple(ticks)
