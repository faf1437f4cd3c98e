"""Pictures without series, drawn by shapes: what stands in them is there, but no chart's data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pptx.enum.dml import MSO_LINE
from pptx.util import Pt

from cadran.charts.picture import Bars, Panels, Plot, stepped
from cadran.charts.svg import cut
from cadran.reports.slides.canvas import MILLIMETRES, fill, line
from cadran.reports.slides.charts import Place, panel_places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cadran.charts.picture import Picture, Point, Tone
    from cadran.reports.slides.canvas import Canvas, Colour

_TONES: dict[Tone, Colour] = {
    "blue": "accent", "orange": "series-2", "teal": "series-3", "purple": "series-4",
    "ochre": "near", "grey": "calm", "ink": "ink", "muted": "muted", "ok": "ok", "near": "near",
    "bad": "bad",
}  # fmt: skip
_DASHES = {"dashed": MSO_LINE.DASH, "dotted": MSO_LINE.ROUND_DOT}
_TEXT, _LINE = 7.0, 3.6  # points; millimetres
_AXIS, _ENDS = 11.0, 26.0  # millimetres at the left and at the right of a plot
_BAR = 2.6  # millimetres


def drawn(canvas: Canvas, picture: Picture, place: Place) -> None:
    """Draw a picture; its title goes on the text that stands for it."""
    if isinstance(picture, Plot):
        _plot(canvas, picture, place)
    elif isinstance(picture, Bars):
        _bars(canvas, picture, place)
    elif isinstance(picture, Panels):
        places = panel_places(canvas, picture, place)
        for panel, inner in zip(picture.panels, places, strict=True):
            _plot(canvas, panel.plot, inner)


def _plot(canvas: Canvas, plot: Plot, place: Place) -> None:
    left = _AXIS if plot.y else 0.0
    right = _ENDS if plot.ends and place.width > 2 * _ENDS else 0.0
    foot = _LINE + 1 if plot.x else 0.0
    box = Place(place.x + left, place.y, place.width - left - right, place.height - foot)
    for tick in plot.y:
        y = _at(box, (0, tick.at))[1]
        canvas.rect(box.x, y, box.width, 0.1, "rule")
        text = [line(tick.text, _TEXT, colour="muted", align="right")]
        canvas.text(place.x, y - _LINE / 2, left - 1, _LINE, text, anchor="middle")
    _marks(canvas, plot, box)
    for tick in plot.x:
        x = _at(box, (tick.at, 0))[0] - 10
        text = [line(tick.text, _TEXT, colour="muted", align="center")]
        canvas.text(x, box.y + box.height + 0.8, 20, _LINE, text)
    for end in plot.ends if right else ():
        words = cut(f"{end.value} {end.name}", (right - 1) / MILLIMETRES, _TEXT)
        text = [line(words, _TEXT, colour=_TONES[end.tone])]
        x, y = box.x + box.width + 1, _at(box, (0, end.y))[1] - _LINE / 2
        canvas.text(x, y, right - 1, _LINE, text, anchor="middle")


def _at(box: Place, point: Point) -> Point:
    return box.x + point[0] * box.width, box.y + point[1] * box.height


def _marks(canvas: Canvas, plot: Plot, box: Place) -> None:
    for column in plot.columns:
        x, y = _at(box, (column.x, column.y))
        colour: Colour = "sunk" if column.soft else _TONES[column.tone]
        canvas.rect(x, y, column.width * box.width, column.height * box.height, colour)
    for band in plot.bands:
        corners = [_at(box, p) for p in (*band.upper, *reversed(band.lower))]
        _stroke(canvas, corners, "sunk", is_area=True)
    for curve in plot.curves:
        for part in curve.parts:
            points = [_at(box, point) for point in (stepped(part) if curve.stepped else part)]
            _stroke(canvas, points, _TONES[curve.tone], style=curve.style)
    for rule in plot.rules:
        x, y = _at(box, (rule.x or 0.0, rule.y or 0.0))
        if rule.x is None:
            canvas.rect(box.x, y, box.width, 0.2, _TONES[rule.tone])
        else:
            canvas.rect(x, box.y, 0.2, box.height, _TONES[rule.tone])
        if rule.text:
            text = [line(rule.text, _TEXT, colour="muted")]
            canvas.text(x + 0.8, y if rule.x is None else box.y, 40, _LINE, text)
    for dot in plot.dots:
        x, y = _at(box, (dot.x, dot.y))
        canvas.rect(x - 0.7, y - 0.7, 1.4, 1.4, _TONES[dot.tone])


def _stroke(
    canvas: Canvas, points: Sequence[Point], colour: Colour, *,
    style: str = "solid", is_area: bool = False,
) -> None:  # fmt: skip
    """A line through points, or the area within them, in millimetres."""
    if len(points) < 2:  # noqa: PLR2004 - a line has two ends
        return
    first = canvas.place(*points[0])
    builder = canvas.slide.shapes.build_freeform(first[0], first[1], scale=1.0)
    builder.add_line_segments([canvas.place(*point) for point in points[1:]], close=is_area)
    shape = builder.convert_to_shape()
    canvas.plain(shape)
    if is_area:
        fill(shape.fill, colour)
        shape.line.fill.background()
        return
    shape.fill.background()
    fill(shape.line.fill, colour)
    shape.line.width = Pt(1.5)
    if style in _DASHES:
        shape.line.dash_style = _DASHES[style]


def _bars(canvas: Canvas, bars: Bars, place: Place) -> None:
    """Lying bars: label, parts, figure."""
    named = any(row.label for row in bars.rows)
    valued = any(row.value for row in bars.rows)
    label = place.width * 0.34 if named else 0.0
    value = 24.0 if valued else 0.0
    track = Place(place.x + label, place.y, max(place.width - label - value - 2, 4.0), 0)
    legend = _LINE + 1 if bars.legend else 0.0
    step = (place.height - legend) / max(len(bars.rows), 1)
    for index, row in enumerate(bars.rows):
        y = place.y + index * step
        if row.label:
            lines = [line(cut(row.label, label / MILLIMETRES, 8), 8)]
            if row.detail and step > 2 * _LINE:
                lines.append(line(row.detail, _TEXT, colour="muted"))
            canvas.text(place.x, y, label - 1, step, lines, anchor="middle")
        for segment in row.segments:
            canvas.rect(
                track.x + segment.x * track.width, y + (step - _BAR) / 2,
                segment.width * track.width, _BAR,
                "calm" if segment.soft else _TONES[segment.tone],
            )  # fmt: skip
        for stroke in bars.strokes:
            canvas.rect(track.x + stroke * track.width, y + step / 2 - _BAR, 0.25, 2 * _BAR, "ink")
        if row.value:
            text = [line(row.value, 8, bold=True, colour=_TONES[row.tone], align="right")]
            canvas.text(place.x + place.width - value, y, value, step, text, anchor="middle")
    x = place.x
    for tone, words in bars.legend:
        y = place.y + place.height - _LINE
        canvas.rect(x, y + 0.8, 3, 2, _TONES[tone])
        canvas.text(x + 4, y, 50, _LINE, [line(words, _TEXT, colour="muted")], anchor="middle")
        x += 54
