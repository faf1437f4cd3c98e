"""Charts with their scales resolved and their labels written: what every writer draws.

A picture knows no language, number format or screen. Positions are fractions of the plot, from its
left and from its top; colours are tones, which a writer gives the colours of its medium.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Tone = Literal[
    "blue", "orange", "teal", "purple", "ochre", "grey", "ink", "muted", "ok", "near", "bad"
]
Shape = Literal["disc", "ring", "triangle", "diamond", "square"]
Style = Literal["strong", "plain", "soft"]
Point = tuple[float, float]

SERIES: tuple[Tone, ...] = ("blue", "orange", "teal", "purple", "ochre", "grey")
MOST_TICKS = 5


@dataclass(frozen=True, slots=True)
class Tick:
    """A place of an axis and its label."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A line through points; a gap begins a new part.

    Attributes:
        parts: the points of each unbroken part.
        tone: its colour.
        style: solid, dashed or dotted.
        filled: whether the area down to the foot is tinted.
        stepped: whether it holds each value until the next.
    """

    parts: tuple[tuple[Point, ...], ...]
    tone: Tone
    style: Literal["solid", "dashed", "dotted"] = "solid"
    filled: bool = False
    stepped: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """An area between two lines over the same places: an interval."""

    upper: tuple[Point, ...]
    lower: tuple[Point, ...]
    tone: Tone


@dataclass(frozen=True, slots=True)
class Column:
    """An upright bar, or a stretch of the whole height where `y` is 0 and `height` 1."""

    x: float
    y: float
    width: float
    height: float
    tone: Tone
    soft: bool = False


@dataclass(frozen=True, slots=True)
class Dot:
    """A point that is marked, with what it says where it is pointed at."""

    x: float
    y: float
    tone: Tone
    shape: Shape = "disc"
    title: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across the plot: upright at `x`, or level at `y`, with its label."""

    x: float | None
    y: float | None
    text: str = ""
    tone: Tone = "ink"


@dataclass(frozen=True, slots=True)
class End:
    """What stands at the end of a line: its value and its name."""

    y: float
    value: str
    name: str
    tone: Tone
    style: Literal["solid", "dashed", "dotted"] = "solid"


@dataclass(frozen=True, slots=True)
class Table:
    """The figures of a picture, for those who read rather than look."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """Values over an axis.

    Attributes:
        title: what a screen reader says.
        x: the ticks of the axis below.
        y: the ticks of the axis at the left.
        events: marks in a lane below the plot.
        ends: labels at the right, from the top.
        table: its figures.
        height: of the plot, in pixels.
    """

    title: str
    x: tuple[Tick, ...] = ()
    y: tuple[Tick, ...] = ()
    columns: tuple[Column, ...] = ()
    bands: tuple[Band, ...] = ()
    curves: tuple[Curve, ...] = ()
    rules: tuple[Rule, ...] = ()
    dots: tuple[Dot, ...] = ()
    events: tuple[Dot, ...] = ()
    ends: tuple[End, ...] = ()
    table: Table | None = None
    height: int = 240

    @property
    def marks(self) -> int:
        """How many marks it has; an empty chart has none."""
        points = sum(len(part) for curve in self.curves for part in curve.parts)
        return points + len(self.columns) + len(self.dots)


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a lying bar, from the left."""

    x: float
    width: float
    tone: Tone
    soft: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """A row: what it is, its lying bars or the dots on its track, and the figure."""

    label: str
    value: str
    segments: tuple[Segment, ...]
    detail: str = ""
    tone: Tone = "ink"
    link: str = ""
    dots: tuple[Dot, ...] = ()


@dataclass(frozen=True, slots=True)
class Bars:
    """Lying bars over one scale.

    Attributes:
        title: what a screen reader says.
        strokes: where upright strokes stand: zero, a target.
        legend: what each tone means, where bars have several parts.
    """

    title: str
    rows: tuple[Bar, ...]
    strokes: tuple[float, ...] = ()
    legend: tuple[tuple[Tone, str], ...] = ()

    @property
    def marks(self) -> int:
        """How many marks it has."""
        return sum(len(row.segments) + len(row.dots) for row in self.rows)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a heat map: its figure, how much it is, and the sign that says so."""

    text: str
    level: int
    sign: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A heat map.

    Attributes:
        title: what a screen reader says.
        columns: the names of the columns.
        rows: each name with its cells; None where there is nothing to say.
        legend: level and words of each, in order.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    legend: tuple[tuple[int, str], ...] = ()

    @property
    def marks(self) -> int:
        """How many cells have a figure."""
        return sum(cell is not None for _, cells in self.rows for cell in cells)


@dataclass(frozen=True, slots=True)
class Panel:
    """One of small multiples: its name, its figure and its plot."""

    name: str
    value: str
    plot: Plot


@dataclass(frozen=True, slots=True)
class Panels:
    """Small multiples.

    Attributes:
        title: what a screen reader says.
    """

    title: str
    panels: tuple[Panel, ...]

    @property
    def marks(self) -> int:
        """How many marks its plots have."""
        return sum(panel.plot.marks for panel in self.panels)


@dataclass(frozen=True, slots=True)
class Box:
    """A box of a graph: its upper left corner and size, its words, and how it is filled."""

    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]
    note: str = ""
    style: Style = "plain"


@dataclass(frozen=True, slots=True)
class Arrow:
    """A way from box to box through points, dashed when it is declared and not exact."""

    points: tuple[Point, ...]
    label: str = ""
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """Things and what they are made from; its measures are points, for its words are in boxes.

    Attributes:
        title: what a screen reader says.
        width: of the whole.
        height: of the whole.
    """

    title: str
    width: float
    height: float
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]

    @property
    def marks(self) -> int:
        """How many boxes it has."""
        return len(self.boxes)


Picture = Plot | Bars | Grid | Panels | Graph


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear scale: its ends, and the round numbers in between."""

    low: float
    high: float
    ticks: tuple[float, ...] = field(default=())

    def at(self, value: float) -> float:
        """The place of a value: 0 at the low end, 1 at the high one."""
        return (value - self.low) / (self.high - self.low)

    def from_top(self, value: float) -> float:
        """The place of a value in a plot, from its top."""
        return 1 - self.at(value)


def scale(values: Iterable[float], *, zero: bool = True, most: int = MOST_TICKS) -> Scale:
    """A scale that holds the values and ends at round numbers.

    Args:
        values: what has to be on it.
        zero: whether it begins at zero; a rate of 99.9 % does not.
        most: about how many ticks.
    """
    finite = [value for value in values if math.isfinite(value)]
    if zero:
        finite.append(0.0)
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    if low == high:
        # One value: it stands in the middle.
        low, high = (low - abs(low) * 0.05 or -0.5, high + abs(high) * 0.05 or 0.5)
        if zero:
            low, high = min(low, 0.0) if low < 0 else 0.0, max(high, 1.0 if high <= 0 else high)
    step = _step((high - low) / max(most - 1, 1))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(index * step for index in range(first, last + 1))
    return Scale(first * step, last * step, ticks)


def _step(wanted: float) -> float:
    power = 10.0 ** math.floor(math.log10(wanted))
    for nice in (1, 2, 2.5, 5):
        if wanted <= nice * power * (1 + 1e-9):
            return nice * power
    return 10 * power


def apart(ends: Iterable[End], least: float) -> tuple[End, ...]:
    """Labels at the ends of lines, pushed apart so that none lies on another.

    Args:
        ends: the labels.
        least: the smallest distance of two, as a fraction of the plot's height.
    """
    ordered = sorted(ends, key=lambda end: end.y)
    places: list[float] = []
    for end in ordered:
        places.append(max(end.y, places[-1] + least) if places else end.y)
    over = places[-1] - 1 if places else 0.0
    for index in range(len(places) - 1, -1, -1):
        if over <= 0:
            break
        places[index] -= over
        if index:
            over = places[index - 1] + least - places[index]
    return tuple(replace(end, y=y) for y, end in zip(places, ordered, strict=True))


def thinned(ticks: list[Tick], most: int) -> tuple[Tick, ...]:
    """At most so many ticks, evenly spread, the first among them."""
    every = max(1, math.ceil(len(ticks) / most))
    return tuple(ticks[::every])


def stepped(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """The corners of a line that holds each value until the next."""
    drawn: list[Point] = []
    for x, y in points:
        if drawn:
            drawn.append((x, drawn[-1][1]))
        drawn.append((x, y))
    return tuple(drawn)


def transposed(grid: Grid) -> Grid:
    """The heat map with its rows as columns, for where there is more height than width."""
    rows = tuple(
        (name, tuple(cells[index] for _, cells in grid.rows))
        for index, name in enumerate(grid.columns)
    )
    return replace(grid, columns=tuple(name for name, _ in grid.rows), rows=rows)
