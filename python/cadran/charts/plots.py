"""The charts there are, as pictures: from values, a card and a language."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cadran.charts.picture import (
    SERIES,
    Band,
    Bar,
    Bars,
    Cell,
    Curve,
    Dot,
    End,
    Grid,
    Plot,
    Rule,
    Scale,
    Segment,
    Table,
    Tick,
    apart,
    scale,
    thinned,
)
from cadran.formats import periods
from cadran.formats.numbers import axis_texts, change_of, measure, short
from cadran.formats.words import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cadran.charts.picture import Point, Shape, Tone
    from cadran.core.project.cards import Card

_MOST_LABELS = 8
END_PIXELS = 18  # between two labels at the ends of lines
_SMALL_STEPS = 0.06  # of the largest total, below which steps from zero could not be told
LEVELS = (50, 75, 101, 150)  # from which per cent of a budget a cell has the next colour


@dataclass(frozen=True, slots=True)
class Series:
    """Values by period, and how they are drawn.

    Attributes:
        name: beside the end of its line; empty says nothing there.
        values: by start of their period; None is a gap.
        tone: its colour; by default the next one.
        style: solid, dashed or dotted.
        filled: whether the area below is tinted.
        stepped: whether it holds until the next period.
        cuts: starts of periods where the meaning changes, so that no line may cross.
    """

    name: str
    values: dict[Any, Any]
    tone: Tone | None = None
    style: Any = "solid"
    filled: bool = False
    stepped: bool = False
    cuts: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """A forecast of a period: its name, its value, and the ends of its interval."""

    at: Any
    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened: in the lane below a plot, or as a line across it.

    Attributes:
        at: when.
        text: what it says.
        tone: its colour.
        shape: its sign in the lane.
        cuts: whether values change their meaning there, so that no line may cross.
    """

    at: Any
    text: str
    tone: Tone = "ink"
    shape: Shape = "triangle"
    cuts: bool = False


def trend(  # noqa: PLR0913 - what is drawn, and what is marked on it
    series: Sequence[Series],
    card: Card,
    grain: str,
    *,
    title: str,
    lang: str = "en",
    head: str = "",
    running: Any = None,
    breaks: Iterable[Mark] = (),
    events: Iterable[Mark] = (),
    expected: Expected | None = None,
    height: int = 240,
    zero: bool | None = None,
) -> Plot:
    """A KPI over time, one line a series.

    Args:
        series: what is drawn, the first in front.
        card: of the KPI.
        grain: of the periods.
        title: what a screen reader says.
        lang: of labels and figures.
        head: the name of the column of periods in the table; empty leaves the table out.
        running: the start of a period that is not over: its part of a line is dashed.
        breaks: where the definition changed.
        events: what happened, in the lane below.
        expected: the forecast of a period.
        height: of the plot in pixels.
        zero: whether the scale begins at zero; by default it does but for a rate.
    """
    starts = sorted({start for one in series for start in one.values})
    if not starts:
        return Plot(title, height=height)
    places = {start: _place(index, len(starts)) for index, start in enumerate(starts)}
    values = [float(v) for one in series for v in one.values.values() if v is not None]
    values += [] if expected is None else [expected.value, expected.low, expected.high]
    axis = scale(values, zero=card.unit != "%" if zero is None else zero)
    curves: list[Curve] = []
    dots: list[Dot] = []
    ends: list[End] = []
    for one, tone in zip(series, _tones(series), strict=True):
        drawn, last = _curves(one, tone, places, axis, running)
        curves += drawn
        if last is None:
            continue
        start, value = last
        x, y = places[start], axis.from_top(float(value))
        figure = measure(value, card.unit, decimals=card.decimals, lang=lang)
        if one.style == "solid":
            dots.append(Dot(x, y, tone, title=f"{one.name} {figure}".strip()))
        if one.name:
            ends.append(End(y, _figure(value, card, axis, lang), one.name, tone, one.style))
    bands: tuple[Band, ...] = ()
    if expected is not None and expected.at in places:
        x, y = places[expected.at], axis.from_top(expected.value)
        bands = _interval(x, expected, axis)
        dots.append(Dot(x, y, "blue", "ring", expected.name))
        ends.append(
            End(y, _figure(expected.value, card, axis, lang), expected.name, "blue", "dotted")
        )
    return Plot(
        title,
        x=_time_ticks(starts, places, grain, lang),
        y=value_ticks(axis, card.unit, lang),
        bands=bands,
        curves=tuple(reversed(curves)),
        dots=tuple(dots),
        rules=tuple(
            Rule(places[mark.at], None, mark.text, mark.tone)
            for mark in breaks
            if mark.at in places
        ),
        events=tuple(
            Dot(_placed(mark.at, starts), 0.5, mark.tone, mark.shape, mark.text)
            for mark in events
            if stamp(starts[0]) <= stamp(mark.at)
        ),
        ends=apart(ends, END_PIXELS / height),
        table=_figures(series, card, starts, grain, head, lang) if head else None,
        height=height,
    )


def sparkline(values: Sequence[Any], tone: Tone = "blue", height: int = 36) -> Plot:
    """The course of a value in the size of a word, with its last point; gaps stay gaps."""
    one = Series("", dict(enumerate(values)), tone, filled=True)
    known = [float(value) for value in values if value is not None]
    if not known:
        return Plot("", height=height)
    low, high = min(known), max(known)
    room = (high - low) * 0.12 or abs(high) * 0.05 or 1.0
    axis = Scale(low - room, high + room)
    places = {index: _place(index, len(values)) for index in range(len(values))}
    curves, last = _curves(one, tone, places, axis, None)
    dots = () if last is None else (Dot(places[last[0]], axis.from_top(float(last[1])), tone),)
    return Plot("", curves=tuple(curves), dots=dots, height=height)


def waterfall(  # noqa: PLR0913 - two totals with their names, and what lies between
    first: tuple[str, Any],
    steps: Sequence[tuple[str, Any, str]],
    last: tuple[str, Any],
    card: Card,
    *,
    title: str,
    lang: str = "en",
) -> Bars:
    """From one total to another, lying, each step where the one before ended.

    Bars begin at zero. Where steps would be too small to be seen then, totals are cut off at a
    round number that the legend tells.
    """
    level = float(first[1])
    levels = [0.0, level]
    for _, amount, _ in steps:
        level += float(amount)
        levels.append(level)
    levels.append(float(last[1]))
    least, most = min(levels[1:]), max(levels)
    low = min(levels)
    legend: tuple[tuple[Tone, str], ...] = ()
    if least > 0 and 0 < most - least < _SMALL_STEPS * most:
        low = scale([least - (most - least) * 0.35, most], zero=False).low
    if low > 0:
        begin = short(round(low, 12), card.unit, decimals=card.decimals, lang=lang)
        legend = (("grey", words("chart", lang)["cut"].format(low=begin)),)
    axis = Scale(low, most if most > low else low + 1.0)

    def total(name: str, value: Any) -> Bar:
        segment = _between(axis, max(low, 0.0) if low > 0 else 0.0, float(value), "grey")
        return Bar(name, measure(value, card.unit, decimals=card.decimals, lang=lang), (segment,))

    rows = [total(*first)]
    level = float(first[1])
    for name, amount, detail in steps:
        tone: Tone = "blue" if amount >= 0 else "orange"
        rows.append(
            Bar(
                name,
                change_of(amount, card.unit, decimals=card.decimals, lang=lang),
                (_between(axis, level, level + float(amount), tone),),
                detail,
            )
        )
        level += float(amount)
    rows.append(total(*last))
    return Bars(title, tuple(rows), legend=legend)


def budget(remaining: float | None, tone: Tone) -> tuple[tuple[Segment, ...], float]:
    """What is left of an error budget from -25 to 100 %, and the place of zero.

    An overspent budget goes to the left; what lies below -25 % ends there, its figure beside it.
    """
    axis = Scale(-0.25, 1.0)
    if remaining is None:
        return (), axis.at(0.0)
    held = min(max(remaining, -0.25), 1.0)
    return (_between(axis, 0.0, held, tone),), axis.at(0.0)


def heat(
    rows: Sequence[tuple[str, Sequence[float | None]]],
    columns: Sequence[str],
    *,
    title: str,
    legend: Sequence[str],
    lang: str = "en",
) -> Grid:
    """Shares of a budget that were used: the figure in each cell, a sign where it is overspent.

    The colour follows the figure as it is printed, so that no cell says 50 and is coloured as less.
    """

    def cell(share: float | None) -> Cell | None:
        if share is None:
            return None
        printed = round(share * 100)
        level = sum(printed >= bound for bound in LEVELS)
        sign = "■" if level == len(LEVELS) else "▲" if level == len(LEVELS) - 1 else ""
        return Cell(short(printed, "", lang=lang), level, sign)

    return Grid(
        title,
        tuple(columns),
        tuple((name, tuple(cell(share) for share in shares)) for name, shares in rows),
        tuple(enumerate(legend)),
    )


def _placed(at: Any, starts: Sequence[Any]) -> float:
    """The place of an instant among evenly set starts of periods."""
    moment = stamp(at)
    stamps = [stamp(start) for start in starts]
    if moment <= stamps[0] or len(stamps) == 1:
        return _place(0, len(stamps))
    for index, (left, right) in enumerate(itertools.pairwise(stamps)):
        if moment < right:
            share = (moment - left) / (right - left)
            low, high = _place(index, len(stamps)), _place(index + 1, len(stamps))
            return low + share * (high - low)
    return 1.0


def stamp(at: Any) -> float:
    """A day, an instant or a number as a number, so that they compare."""
    if isinstance(at, dt.datetime):
        return at.replace(tzinfo=None).timestamp()
    if isinstance(at, dt.date):
        return dt.datetime.combine(at, dt.time()).timestamp()
    return float(at)


def _place(index: int, count: int) -> float:
    return index / (count - 1) if count > 1 else 0.5


def _tones(series: Sequence[Series]) -> list[Tone]:
    free = itertools.cycle(SERIES)
    return [next(free) if one.tone is None else one.tone for one in series]


def _curves(
    one: Series, tone: Tone, places: dict[Any, float], axis: Scale, running: Any
) -> tuple[list[Curve], tuple[Any, Any] | None]:
    """The line of a series, its running part dashed; and its last value."""
    parts: list[list[tuple[Any, Point]]] = [[]]
    last = None
    for start, place in places.items():
        if start not in one.values:
            continue
        value = one.values[start]
        if value is None or start in one.cuts:
            parts.append([])
        if value is not None:
            last = start, value
            parts[-1].append((start, (place, axis.from_top(float(value)))))
    whole: list[tuple[Point, ...]] = []
    dashed: list[tuple[Point, ...]] = []
    for part in parts:
        points = tuple(point for _, point in part)
        if part and running is not None and part[-1][0] == running:
            whole.append(points[:-1])
            dashed.append(points[-2:])
        else:
            whole.append(points)
    plain = Curve(tuple(p for p in whole if p), tone, one.style, one.filled, one.stepped)
    drawn = [plain] if plain.parts else []
    if any(len(points) > 1 for points in dashed):
        drawn.append(replace(plain, parts=tuple(dashed), style="dotted", filled=False))
    return drawn, last


def _interval(x: float, expected: Expected, axis: Scale) -> tuple[Band, ...]:
    left = max(0.0, x - 0.012), min(1.0, x + 0.012)
    top, foot = axis.from_top(expected.high), axis.from_top(expected.low)
    return (Band(tuple((e, top) for e in left), tuple((e, foot) for e in left), "blue"),)


def _time_ticks(
    starts: Sequence[Any], places: dict[Any, float], grain: str, lang: str
) -> tuple[Tick, ...]:
    shown = thinned([Tick(places[start], "") for start in starts], _MOST_LABELS)
    every = {tick.at for tick in shown}
    ticks, year = [], None
    for start in starts:
        if places[start] not in every:
            continue
        ticks.append(
            Tick(
                places[start],
                periods.short(start, grain, lang, year=grain != "year" and start.year != year),
            )
        )
        year = start.year
    return tuple(ticks)


def value_ticks(axis: Scale, unit: str, lang: str) -> tuple[Tick, ...]:
    """The ticks of an axis of values, all written in the step of its largest."""
    texts = axis_texts(axis.ticks, unit, lang=lang)
    return tuple(
        Tick(axis.from_top(value), text) for value, text in zip(axis.ticks, texts, strict=True)
    )


def _figure(value: Any, card: Card, axis: Scale, lang: str) -> str:
    if card.unit == "%":
        return measure(value, card.unit, decimals=card.decimals, lang=lang)
    return short(value, card.unit, top=axis.high, lang=lang)


def _figures(  # noqa: PLR0913, PLR0917 - the same as the chart's
    series: Sequence[Series], card: Card, starts: Sequence[Any], grain: str, head: str, lang: str
) -> Table:
    names = [one.name or card.localized(lang).label for one in series]
    rows = tuple(
        (
            periods.label(start, grain, lang),
            *(
                measure(one.values.get(start), card.unit, decimals=card.decimals, lang=lang)
                for one in series
            ),
        )
        for start in reversed(starts)
    )
    return Table((head, *names), rows)


def _between(axis: Scale, start: float, end: float, tone: Tone) -> Segment:
    low, high = sorted((axis.at(start), axis.at(end)))
    return Segment(max(low, 0.0), max(high - max(low, 0.0), 0.003), tone)
