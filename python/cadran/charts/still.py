"""Pictures at a fixed size, as SVG with attributes only: for documents, mails and notebooks.

Words are measured, so that labels keep off each other: ticks without room are left out, names
at the ends of lines are pushed apart, long ones are cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import dist
from pathlib import Path
from typing import TYPE_CHECKING

from cadran.charts import graph
from cadran.charts.picture import Bars, Grid, Panels, Plot, apart, stepped, transposed
from cadran.charts.svg import PALETTES, SMALL, TEXT, Canvas, cut, text_width, wrap
from cadran.errors import QueryError
from cadran.formats import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cadran.charts.picture import Bar, Curve, Dot, End, Picture, Point, Rule, Tick
    from cadran.charts.svg import Anchor, Theme

WIDTH = 480.0  # points
_DPI = 96  # what a browser takes a point for
_PIXEL = 72 / _DPI  # in points
_LINE = 12.0  # between two lines of small text
_GAP = 6.0
_EDGE = 8.0  # of the paper around a picture
_HAIR = 0.01  # a sum of widths is not exactly its parts
_ENDS_MOST = 0.34  # of the width, for the names at the ends of lines
_LEAST_PLOT = 40.0
_MOST_LANES = 3
_CELL_LEAST = 22.0


def still(
    picture: Picture,
    *,
    width: float = WIDTH,
    height: float | None = None,
    theme: Theme = "light",
    ground: bool = False,
) -> str:
    """The picture as an SVG element; the same picture gives the same bytes.

    Args:
        picture: what is drawn.
        width: in points; one unit of the drawing is one point.
        height: of the whole, in points; by default what the picture asks for. Only a plot can be
            made higher or lower.
        theme: light or dark.
        ground: whether the paper is painted too; without it what lies below shows.
    """
    canvas = Canvas(PALETTES[theme])
    edge = _EDGE if ground else 0.0
    wide, scale = width - 2 * edge, 1.0
    if isinstance(picture, Plot):
        tall = _plot(canvas, picture, wide, None if height is None else height - 2 * edge)
    elif isinstance(picture, Bars):
        tall = _bars(canvas, picture, wide)
    elif isinstance(picture, Grid):
        tall = _grid(canvas, picture, wide)
    elif isinstance(picture, Panels):
        tall = _panels(canvas, picture, wide)
    else:
        graph.draw(canvas, picture)
        scale = min(wide / picture.width, 1.0)
        wide, tall = picture.width, picture.height
    if ground:
        paper = Canvas(canvas.colours)
        wide, tall = wide + 2 * edge, tall + 2 * edge
        paper.rect(0, 0, wide, tall, "paper")
        paper.group(edge, canvas, edge)
        canvas = paper
    return canvas.svg(wide, tall, picture.title, scale)


def png(svg: str, zoom: float = 2) -> bytes:
    """A still as a PNG, twice as fine as its size in pixels by default.

    Raises:
        ImportError: resvg-py is not installed.
    """
    try:
        import resvg_py
    except ImportError:
        message = "A PNG needs resvg-py: install it with `pip install cadran[charts]`."
        raise ImportError(message) from None
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=zoom, dpi=_DPI))


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture in the hand: a notebook shows it, and a file keeps it."""

    picture: Picture

    def svg(self, width: float = WIDTH, theme: Theme = "light") -> str:
        """The picture on its paper, at a width in points."""
        return still(self.picture, width=width, theme=theme, ground=True)

    def save(self, file: str | Path, width: float = WIDTH, theme: Theme = "light") -> None:
        """Write the picture to a file whose name ends with .svg or .png.

        Raises:
            QueryError: the name ends otherwise.
            ImportError: a PNG is asked for, and resvg-py is not installed.
        """
        target, drawn = Path(file), self.svg(width, theme)
        if target.suffix not in {".svg", ".png"}:
            raise QueryError(f"The chart is '{file}'; it takes a file that ends with .svg or .png.")
        files.write(target, png(drawn) if target.suffix == ".png" else drawn.encode())

    def _repr_svg_(self) -> str:
        return self.svg()


@dataclass(frozen=True, slots=True)
class _Box:
    """Where marks are placed by fractions of it."""

    x: float
    y: float
    width: float
    height: float

    def at(self, point: Point) -> Point:
        return self.x + point[0] * self.width, self.y + point[1] * self.height

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def foot(self) -> float:
        return self.y + self.height


def _plot(canvas: Canvas, plot: Plot, width: float, height: float | None, top: float = 0) -> float:
    """Draw a plot; returns where it ends below."""
    is_bare = not (plot.x or plot.y or plot.ends)
    edge = 4.0 if is_bare else 2.0
    left = max((text_width(tick.text, SMALL) for tick in plot.y), default=0.0)
    left = left + _GAP if left else edge
    room = _ends_room(plot.ends, width)
    right = width - (room + _GAP if room else max(edge, 4))
    notes, rows = _upright(plot.rules, left, right, width)
    above = rows * _LINE if rows else edge + (SMALL / 2 if plot.y else 0)
    lanes = _lanes(plot.events, left, right)
    lane = _LINE * (max((row for _, row, _ in lanes), default=-1) + 1)
    below = lane + (_LINE + 3 if plot.x else edge)
    legend = [] if room else _flow((16 + _end_width(end) for end in plot.ends), width)
    below += _LINE * (legend[-1][1] + 1) + 2 if legend else 0
    tall = plot.height * _PIXEL if height is None else height - above - below
    tall = max(tall, len(plot.ends) * (SMALL + 2) if room else 0.0, 8 if is_bare else _LEAST_PLOT)
    box = _Box(left, top + above, right - left, tall)
    _value_ticks(canvas, plot.y, box)
    _marks(canvas, plot, box)
    for x, row, anchor, rule in notes:
        y = top + row * _LINE
        canvas.line(((x, y + 2), (x, box.foot)), rule.tone, width=0.75, style="dashed")
        shift = 3 if anchor == "start" else -3
        canvas.text(x + shift, y + _LINE / 2, rule.text, rule.tone, size=SMALL, anchor=anchor)
    _levels(canvas, plot, box)
    y = box.foot
    if plot.events:
        _events(canvas, lanes, box)
        y += lane
    if plot.x:
        _time_ticks(canvas, plot.x, box, y + 9, width)
        y += _LINE + 3
    else:
        y += edge
    if room:
        _ends(canvas, apart(plot.ends, (SMALL + 2) / tall), box, room)
    for (x, row), end in zip(legend, plot.ends, strict=False):
        _key(canvas, x, y + row * _LINE + _LINE / 2, end)
    return top + above + tall + below


def _marks(canvas: Canvas, plot: Plot, box: _Box) -> None:
    for column in plot.columns:
        x, y = box.at((column.x, column.y))
        canvas.rect(
            x, y, column.width * box.width, column.height * box.height, column.tone,
            opacity=0.09 if column.soft else 1,
        )  # fmt: skip
    for band in plot.bands:
        canvas.area(map(box.at, (*band.upper, *reversed(band.lower))), band.tone, opacity=0.16)
    for curve in plot.curves:
        _curve(canvas, curve, box)
    for dot in plot.dots:
        x, y = box.at((dot.x, dot.y))
        canvas.sign(x, y, dot.shape, dot.tone, size=3.25 if plot.y else 2.5, title=dot.title)


def _curve(canvas: Canvas, curve: Curve, box: _Box) -> None:
    for part in curve.parts:
        points = stepped(part) if curve.stepped else part
        if len(points) == 1:
            x, y = box.at(points[0])
            canvas.sign(x, y, "disc", curve.tone, size=1.5)
            continue
        if curve.filled:
            foot = ((points[-1][0], 1.0), (points[0][0], 1.0))
            canvas.area(map(box.at, (*points, *foot)), curve.tone)
        canvas.line(map(box.at, points), curve.tone, style=curve.style)


def _value_ticks(canvas: Canvas, ticks: Sequence[Tick], box: _Box) -> None:
    last = None
    for tick in sorted(ticks, key=lambda tick: -tick.at):
        y = box.at((0.0, tick.at))[1]
        canvas.line(((box.x, y), (box.right, y)), "gridline", width=0.75)
        if last is None or last - y >= SMALL + 1:
            canvas.text(box.x - _GAP, y, tick.text, size=SMALL, anchor="end")
            last = y


def _time_ticks(canvas: Canvas, ticks: Sequence[Tick], box: _Box, y: float, width: float) -> None:
    taken = -1e9
    for tick in ticks:
        half = text_width(tick.text, SMALL) / 2
        x = min(max(box.at((tick.at, 0))[0], half), width - half)
        if x - half < taken + _GAP / 2:
            continue
        canvas.text(x, y, tick.text, size=SMALL, anchor="middle")
        taken = x + half


def _ends_room(ends: Sequence[End], width: float) -> float:
    """How wide the column of names at the ends of lines is; 0 where it would leave no plot."""
    wide = max((_end_width(end) for end in ends), default=0.0)
    least = max((text_width(end.value, SMALL, bold=True) for end in ends), default=0.0)
    return 0.0 if least > width * _ENDS_MOST or width < 260 else min(wide, width * _ENDS_MOST)  # noqa: PLR2004 - a phone


def _end_width(end: End) -> float:
    value = text_width(end.value, SMALL, bold=True)
    return value + (3 if value else 0) + text_width(end.name, SMALL)


def _ends(canvas: Canvas, ends: Sequence[End], box: _Box, room: float) -> None:
    for end in ends:
        x, y = box.right + _GAP, box.at((0.0, end.y))[1]
        canvas.text(x, y, end.value, end.tone, size=SMALL, bold=True)
        used = text_width(end.value, SMALL, bold=True) + 3 if end.value else 0.0
        canvas.text(x + used, y, cut(end.name, room - used + _HAIR, SMALL), end.tone, size=SMALL)


def _key(canvas: Canvas, x: float, y: float, end: End) -> None:
    canvas.line(((x, y), (x + 12, y)), end.tone, style=end.style)
    canvas.text(x + 16, y, end.value, end.tone, size=SMALL, bold=True)
    used = text_width(end.value, SMALL, bold=True) + 3 if end.value else 0.0
    canvas.text(x + 16 + used, y, end.name, end.tone, size=SMALL)


def _flow(widths: Iterable[float], width: float) -> list[tuple[float, int]]:
    """Entries of a legend one after the other: where each begins and in which row."""
    placed: list[tuple[float, int]] = []
    x, row = 0.0, 0
    for wide in widths:
        if x and x + wide > width:
            x, row = 0.0, row + 1
        placed.append((x, row))
        x += wide + 2 * _GAP
    return placed


def _upright(
    rules: Sequence[Rule], left: float, right: float, width: float
) -> tuple[list[tuple[float, int, Anchor, Rule]], int]:
    """Where the labels of upright rules stand above a plot, and in how many rows.

    A rule comes down from the row of its label; so a label may not lie in the way of a higher one.
    """
    sides: list[tuple[float, Anchor, Rule, float]] = []
    for rule in rules:
        if rule.x is not None:
            x, wide = left + rule.x * (right - left), text_width(rule.text, SMALL) + _GAP
            sides.append((x, "start" if x + wide <= width else "end", rule, wide))
    # Those that reach to the left come first, from the right; then the others, from the left.
    sides.sort(key=lambda side: (side[1] == "start", side[0] if side[1] == "start" else -side[0]))
    placed: list[tuple[float, int, Anchor, Rule]] = []
    taken: list[tuple[float, float, float, int]] = []  # its line, its label's ends, its row
    for x, anchor, rule, wide in sides:
        low, high = (x, x + wide) if anchor == "start" else (x - wide, x)
        row = next(
            (
                row
                for row in range(len(taken))
                if not any(
                    (other == row and low < end and begin < high)
                    or (other < row and low < line < high)
                    or (other > row and begin < x < end)
                    for line, begin, end, other in taken
                )
            ),
            len(taken),
        )
        taken.append((x, low, high, row))
        placed.append((x, row, anchor, rule))
    has_words = any(rule.text for *_, rule in placed)
    return placed, max((row for _, row, *_ in placed), default=-1) + 1 if has_words else 0


def _levels(canvas: Canvas, plot: Plot, box: _Box) -> None:
    """Level rules, each with its label where the fewest lines and labels are in the way."""
    points = [point for curve in plot.curves for part in curve.parts for point in _along(part, box)]
    lines = [box.at((0.0, rule.y or 0.0))[1] for rule in plot.rules if rule.x is None]
    taken: list[_Box] = []
    for rule in plot.rules:
        if rule.x is not None:
            continue
        y = box.at((0.0, rule.y or 0.0))[1]
        canvas.line(((box.x, y), (box.right, y)), rule.tone, width=0.75, style="dashed")
        if not rule.text:
            continue
        wide = text_width(rule.text, SMALL)
        places = [
            _Box(x, y + above, wide, SMALL + 2)
            for above in (-SMALL - 3, 1.0)
            for x in (box.x + 3, box.right - wide - 5, box.x + (box.width - wide) / 2)
        ]
        best = min(
            places,
            key=lambda place: (
                _crowd(place, points, taken, box)
                + 100 * sum(place.y < line < place.foot for line in lines)
            ),
        )
        taken.append(best)
        canvas.text(best.x, best.y + SMALL / 2 + 1, rule.text, rule.tone, size=SMALL)


def _along(part: Sequence[Point], box: _Box) -> list[Point]:
    """Points of a line, near enough to each other that no label fits between two."""
    points = []
    for tail, head in pairwise(map(box.at, part)):
        count = max(int(dist(tail, head) // 4), 1)
        points += [
            (tail[0] + (head[0] - tail[0]) * step / count,
             tail[1] + (head[1] - tail[1]) * step / count)
            for step in range(count + 1)
        ]  # fmt: skip
    return points


def _crowd(place: _Box, points: Sequence[Point], taken: Sequence[_Box], box: _Box) -> int:
    """How much is in the way of a label."""
    lying = sum(
        place.x < other.right and other.x < place.right
        and place.y < other.foot and other.y < place.foot
        for other in taken
    )  # fmt: skip
    outside = place.y < box.y - SMALL or place.foot > box.foot
    under = sum(
        place.x - 2 < x < place.right + 2 and place.y - 1 < y < place.foot + 1 for x, y in points
    )
    return under + 1000 * (lying + outside)


def _lanes(events: Sequence[Dot], left: float, right: float) -> list[tuple[Dot, int, bool]]:
    """Each event with its row below the plot, and whether its words have room there."""
    placed = []
    reached = [-1e9] * _MOST_LANES
    for dot in sorted(events, key=lambda dot: dot.x):
        x = left + dot.x * (right - left)
        end = x + _GAP + text_width(dot.title, SMALL)
        row = next((row for row, until in enumerate(reached) if until <= x - _GAP), None)
        has_words = row is not None and end <= right
        row = row or 0
        reached[row] = end if has_words else x
        placed.append((dot, row, has_words))
    return placed


def _events(canvas: Canvas, events: Sequence[tuple[Dot, int, bool]], box: _Box) -> None:
    for dot, row, has_words in events:
        x, y = box.at((dot.x, 1.0))[0], box.foot + (row + 0.5) * _LINE
        canvas.sign(x, y, dot.shape, dot.tone, size=3.5, title=dot.title)
        if has_words:
            canvas.text(x + _GAP, y, dot.title, dot.tone, size=SMALL)


def _bars(canvas: Canvas, bars: Bars, width: float) -> float:
    label = max((_label_width(row) for row in bars.rows), default=0.0)
    label = min(label, width * 0.38)
    value = max((text_width(row.value, TEXT, bold=True) for row in bars.rows), default=0.0)
    track = _Box(label + 8, 0, max(width - label - value - 16, 20.0), 10)
    y = 0.0
    for row in bars.rows:
        lines = wrap(row.label, label)
        tall = _LINE * (len(lines) + bool(row.detail)) + 6
        first = y + tall / 2 - _LINE * (len(lines) + bool(row.detail) - 1) / 2
        for index, text in enumerate(lines):
            canvas.text(0, first + index * _LINE, text, "ink")
        if row.detail:
            canvas.text(
                0, first + len(lines) * _LINE - 1, cut(row.detail, label, SMALL), size=SMALL
            )
        for segment in row.segments:
            canvas.rect(
                track.at((segment.x, 0))[0], y + tall / 2 - 5, segment.width * track.width, 10,
                segment.tone, opacity=0.4 if segment.soft else 1, radius=1.5,
            )  # fmt: skip
        for dot in row.dots:
            x = track.at((dot.x, 0))[0]
            canvas.sign(x, y + tall / 2, dot.shape, dot.tone, title=dot.title)
        for at in bars.strokes:
            x = track.at((at, 0))[0]
            canvas.line(((x, y + tall / 2 - 7), (x, y + tall / 2 + 7)), "ink", width=1)
        canvas.text(width, y + tall / 2, row.value, row.tone, anchor="end", bold=True)
        y += tall
    return y + _legend(canvas, bars.legend, y, width)


def _label_width(row: Bar) -> float:
    return max(text_width(row.label), text_width(row.detail, SMALL))


def _legend(canvas: Canvas, entries: Sequence[tuple[str, str]], y: float, width: float) -> float:
    """Squares in the tones with their words; returns how high it is."""
    placed = _flow((14 + text_width(words, SMALL) for _, words in entries), width)
    for (x, row), (tone, words) in zip(placed, entries, strict=True):
        middle = y + 4 + row * _LINE + _LINE / 2
        canvas.rect(x, middle - 3.5, 10, 7, tone, radius=1)
        canvas.text(x + 14, middle, words, size=SMALL)
    return (placed[-1][1] + 1) * _LINE + 4 if placed else 0.0


def _grid(canvas: Canvas, grid: Grid, width: float) -> float:
    widest = max(
        (
            text_width(f"{cell.text} {cell.sign}".strip(), SMALL)
            for _, cells in grid.rows
            for cell in cells
            if cell is not None
        ),
        default=0.0,
    )
    names = min(max((text_width(name) for name, _ in grid.rows), default=0.0), width * 0.3) + _GAP
    if (width - names) / max(len(grid.columns), 1) < max(widest + 4, _CELL_LEAST) and (
        len(grid.rows) < len(grid.columns)
    ):
        grid = transposed(grid)
        names = min(max(text_width(name) for name, _ in grid.rows), width * 0.3) + _GAP
    cell = (width - names) / max(len(grid.columns), 1)
    heads = [wrap(name, cell - 2, SMALL) for name in grid.columns]
    y = max(map(len, heads), default=0) * _LINE + 2
    for index, lines in enumerate(heads):
        for at, text in enumerate(lines):
            x = names + (index + 0.5) * cell
            line = y - 2 - (len(lines) - at - 0.5) * _LINE
            canvas.text(x, line, text, size=SMALL, anchor="middle")
    for name, cells in grid.rows:
        canvas.text(0, y + 9, cut(name, names - _GAP), "ink")
        for index, shown in enumerate(cells):
            x = names + index * cell
            middle = x + cell / 2
            if shown is None:
                canvas.text(middle, y + 9, "–", size=SMALL, anchor="middle")  # noqa: RUF001 - nothing to say
                continue
            canvas.rect(
                x + 1, y + 1, cell - 2, 16, f"heat-{shown.level}", radius=3, title=shown.title
            )
            ink = {3: "heat-mid", 4: "heat-last"}.get(shown.level, "heat-ink")
            figure = f"{shown.text} {shown.sign}".strip()
            canvas.text(middle, y + 9, figure, ink, size=SMALL, anchor="middle")
        y += 18
    levels = [(f"heat-{level}", words) for level, words in grid.legend]
    return y + _legend(canvas, levels, y, width)


def _panels(canvas: Canvas, panels: Panels, width: float) -> float:
    across = min(max(int((width + 16) // 146), 1), max(len(panels.panels), 1))
    wide = (width - 16 * (across - 1)) / across
    y = low = 0.0
    for index, panel in enumerate(panels.panels):
        if index and index % across == 0:
            y, low = low + 10, low + 10
        inner = Canvas(canvas.colours)
        value = text_width(panel.value, TEXT, bold=True)
        inner.text(0, y + 6, cut(panel.name, wide - value - _GAP), "ink")
        inner.text(wide, y + 6, panel.value, "ink", anchor="end", bold=True)
        low = max(low, _plot(inner, panel.plot, wide, None, y + _LINE + 2))
        x = (index % across) * (wide + 16)
        canvas.group(x, inner)
    return low
