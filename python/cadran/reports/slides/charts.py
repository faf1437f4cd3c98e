"""Native charts from the series of a picture, so that who gets the slides can edit them."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import xlsxwriter
from pptx.chart.data import CategoryChartData
from pptx.chart.xlsx import CategoryWorkbookWriter
from pptx.enum.chart import (
    XL_CHART_TYPE,
    XL_LABEL_POSITION,
    XL_LEGEND_POSITION,
    XL_MARKER_STYLE,
    XL_TICK_MARK,
)
from pptx.enum.dml import MSO_LINE
from pptx.oxml import parse_xml
from pptx.oxml.ns import qn
from pptx.util import Pt

from cadran.charts.picture import Bars, Panels, Plot, scale
from cadran.charts.svg import text_width
from cadran.reports.office import axis_format, native
from cadran.reports.slides.canvas import MILLIMETRES, describe, fill, line, paint, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import BytesIO

    from cadran.charts.picture import Picture
    from cadran.reports.pack import Series
    from cadran.reports.slides.canvas import Canvas, Colour

_TEXT = 7.0
_LINES: tuple[Colour, ...] = ("accent", "series-2", "series-3", "series-4")
_DASHES = {"target": MSO_LINE.DASH, "limit": MSO_LINE.SQUARE_DOT}
_AXIS = 12.0  # millimetres of the labels at the left of a chart
_SIGNAL = "Signal"  # in both languages
_PANEL_HEAD, _PANEL_GAP, _PANEL_LEAST = 5.0, 5.0, 48.0  # millimetres
_CHART = "http://schemas.openxmlformats.org/drawingml/2006/chart"
_SMALL_STEPS = 0.25  # of the totals, below which the totals are cut off so that steps can be seen


@dataclass(frozen=True, slots=True)
class Place:
    """Where a chart stands, in millimetres of the page."""

    x: float
    y: float
    width: float
    height: float


def native_chart(
    canvas: Canvas, picture: Picture, series: Sequence[Series], place: Place, *, small: bool = False
) -> bool:
    """Draw a picture as native charts; False where its series do not tell what it shows.

    Args:
        canvas: the slide.
        picture: its title is what a screen reader says.
        series: what it shows.
        place: where it stands.
        small: in the size of a word, without axes.
    """
    has_values = any(native(value) is not None for one in series for value in one.values)
    if not has_values:
        return False
    if isinstance(picture, Panels):
        return _panels(canvas, picture, series, place)
    if not _even(series):
        return False
    if not picture.title:
        picture = replace(picture, title=", ".join(one.name for one in series))
    roles = {one.role for one in series}
    if roles & {"step", "total"}:
        _waterfall(canvas, picture.title, series[0], place)
    elif isinstance(picture, Bars) and "bar" in roles:
        _bars(canvas, picture, series, place, small=small)
    elif isinstance(picture, Plot):
        _lines(canvas, picture, series, place, small=small)
    else:
        return False
    return True


def _even(series: Sequence[Series]) -> bool:
    """Whether all series stand over the same labels."""
    return all(
        one.labels == series[0].labels and len(one.values) == len(one.labels) for one in series
    )


def panel_rows(panels: Panels, width: float) -> tuple[int, int]:
    """How many small multiples stand side by side in a width, and in how many rows."""
    count = max(len(panels.panels), 1)
    across = min(max(int((width + _PANEL_GAP) // (_PANEL_LEAST + _PANEL_GAP)), 1), count)
    rows = -(-count // across)
    return -(-count // rows), rows


def grouped(panels: Panels, series: Sequence[Series]) -> list[list[Series]] | None:
    """The series of each panel, its own first; None where they cannot be told apart."""
    groups: list[list[Series]] = []
    for one in series:
        if one.role in {"line", "bar"} or not groups:
            groups.append([])
        groups[-1].append(one)
    is_whole = len(groups) == len(panels.panels) and all(_even(group) for group in groups)
    return groups if is_whole else None


def panel_places(canvas: Canvas, panels: Panels, place: Place) -> Iterator[Place]:
    """The place of the plot of each small multiple, once its head is written above it."""
    across, rows = panel_rows(panels, place.width)
    wide = (place.width - (across - 1) * _PANEL_GAP) / across
    tall = (place.height - (rows - 1) * 2) / rows
    for index, panel in enumerate(panels.panels):
        x = place.x + index % across * (wide + _PANEL_GAP)
        y = place.y + index // across * (tall + 2)
        canvas.text(x, y, wide, _PANEL_HEAD, [line(panel.name, 8, bold=True)])
        canvas.text(x, y, wide, _PANEL_HEAD, [line(panel.value, 8, bold=True, align="right")])
        yield Place(x, y + _PANEL_HEAD, wide, tall - _PANEL_HEAD)


def _panels(canvas: Canvas, panels: Panels, series: Sequence[Series], place: Place) -> bool:
    groups = grouped(panels, series)
    if groups is None:
        return False
    places = panel_places(canvas, panels, place)
    for panel, group, inner in zip(panels.panels, groups, places, strict=True):
        plot = panel.plot if panel.plot.title else replace(
            panel.plot, title=f"{panel.name}: {panel.value}"
        )  # fmt: skip
        if any(native(value) is not None for one in group for value in one.values):
            _lines(canvas, plot, group, inner, small=False, is_panel=True)
    return True


class _Sheet(CategoryWorkbookWriter):  # type: ignore[misc] # python-pptx has no types
    """The sheet in a chart, in which a name that begins like a formula or a link is a text."""

    @contextmanager
    def _open_worksheet(self, xlsx_file: BytesIO) -> Iterator[tuple[Any, Any]]:
        options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        with xlsxwriter.Workbook(xlsx_file, options) as book:
            yield book, book.add_worksheet()


class _Data(CategoryChartData):  # type: ignore[misc] # python-pptx has no types
    """The data of a chart with such a sheet; python-pptx has no option for it."""

    @cached_property
    def _workbook_writer(self) -> _Sheet:
        return _Sheet(self)


def _data(labels: Sequence[str], series: Sequence[tuple[str, Sequence[Any]]], code: str) -> Any:
    data = _Data(number_format=code)
    data.categories = [plain(label) for label in labels]
    for name, values in series:
        data.add_series(plain(name), [native(value) for value in values], code)
    return data


def _chart(canvas: Canvas, kind: Any, place: Place, data: Any, title: str) -> Any:
    area = canvas.area(place.x, place.y, place.width, place.height)
    frame = canvas.slide.shapes.add_chart(kind, *area, data)
    frame.name = f"Chart {frame.shape_id}"
    describe(frame, title)
    chart = frame.chart
    chart.has_title = chart.has_legend = False
    chart.font.size = canvas.points(_TEXT)
    paint(chart.font.color, "muted")
    return chart


def _quiet(axis: Any) -> None:
    """An axis without a line, ticks, labels and grid."""
    axis.has_major_gridlines = False
    axis.visible = False


def _values_axis(chart: Any, code: str) -> Any:
    axis = chart.value_axis
    axis.has_major_gridlines = True
    grid = axis.major_gridlines.format.line
    fill(grid.fill, "rule")
    grid.width = Pt(0.5)
    axis.format.line.fill.background()
    axis.major_tick_mark = XL_TICK_MARK.NONE
    axis.tick_labels.number_format = code
    axis.tick_labels.number_format_is_linked = False
    return axis


def _category_axis(chart: Any, labels: Sequence[str], width: float) -> None:
    """The axis below, its labels level and as many as have room."""
    axis = chart.category_axis
    axis.has_major_gridlines = False
    axis.major_tick_mark = XL_TICK_MARK.NONE
    fill(axis.format.line.fill, "muted")
    axis.format.line.width = Pt(0.75)
    axis.tick_labels.offset = 40
    element = axis._element  # noqa: SLF001 - python-pptx cannot thin or turn labels
    paint(axis.tick_labels.font.color, "muted")
    turned = element.find(qn("c:txPr")).find(qn("a:bodyPr"))
    turned.set("vert", "horz")
    wide = max(text_width(label, _TEXT) for label in labels) * MILLIMETRES + 2
    every = max(1, math.ceil(wide * len(labels) / max(width - _AXIS, 1)))
    # LibreOffice breaks level labels that have no room letter by letter; a hair off level it
    # leaves some out instead.
    turned.set("rot", "1" if every > 1 else "0")
    if every > 1:
        skip = parse_xml(f'<c:tickLblSkip xmlns:c="{_CHART}" val="{every}"/>')
        element.find(qn("c:noMultiLvlLbl")).addprevious(skip)


def _bounds(axis: Any, values: Sequence[float], *, zero: bool, most: int = 5) -> None:
    """Set an axis from and to round numbers, whatever the reader's program would choose."""
    bounds = scale(values, zero=zero, most=most)
    axis.minimum_scale, axis.maximum_scale = bounds.low, bounds.high
    if len(bounds.ticks) > 1:
        axis.major_unit = bounds.ticks[1] - bounds.ticks[0]


def _lines(  # noqa: PLR0913 - what is drawn, where, and how large
    canvas: Canvas, picture: Plot, series: Sequence[Series], place: Place, *,
    small: bool, is_panel: bool = False,
) -> None:  # fmt: skip
    """Lines, or columns with lines over them, over one axis."""
    values = [n for one in series for value in one.values if (n := native(value)) is not None]
    code = axis_format(values, series[0].unit, canvas.lang)
    label = axis_format(values, series[0].unit, canvas.lang, least_decimals=1)
    columns = [one for one in series if one.role == "bar"]
    ordered = [*columns, *(one for one in series if one.role != "bar")]
    signals = () if small or columns else _signals(picture, series[0])
    named = [(one.name, one.values) for one in ordered]
    if any(value is not None for value in signals):
        named.append((_SIGNAL, signals))
    kind = XL_CHART_TYPE.COLUMN_CLUSTERED if columns else XL_CHART_TYPE.LINE
    data = _data(series[0].labels, named, code)
    chart = _chart(canvas, kind, place, data, picture.title)
    drawn = list(chart.plots[0].series)
    for shown in drawn[len(ordered) :]:
        _marks(shown)
    main = [one for one in ordered if one.role not in _DASHES]
    for one, shown in zip(ordered, drawn, strict=False):
        colour = _LINES[main.index(one) % len(_LINES)] if one in main else "muted"
        if one.role == "bar":
            fill(shown.format.fill, colour)
            continue
        _line_style(shown, colour, one.role, small=small)
        if one in main:
            _end(canvas, shown, one, colour, label, small=small or is_panel)
    if columns:
        chart.plots[0].gap_width = 40
        _over(chart, len(columns))
    if small:
        _word_sized(chart, values)
        return
    if not columns:
        _breaks(picture, drawn[0], len(series[0].labels))
    zero = bool(columns) or min(values) < 0.5 * max(values)
    _bounds(_values_axis(chart, code), values, zero=zero, most=3 if is_panel else 5)
    _category_axis(chart, series[0].labels, place.width)
    if len(main) > 1 and not is_panel:
        _legend(canvas, chart)


def _word_sized(chart: Any, values: Sequence[float]) -> None:
    """No axes; the course fills the height."""
    _quiet(chart.category_axis)
    axis = chart.value_axis
    _quiet(axis)
    low, high = min(values), max(values)
    room = (high - low) * 0.12 or abs(high) * 0.05 or 1.0
    axis.minimum_scale, axis.maximum_scale = low - room, high + room


def _line_style(shown: Any, colour: Colour, role: str, *, small: bool) -> None:
    shown.smooth = False
    fill(shown.format.line.fill, colour)
    shown.format.line.width = Pt(1.0 if role in _DASHES else 1.5 if small else 1.75)
    if role in _DASHES:
        shown.format.line.dash_style = _DASHES[role]
    if hasattr(shown, "marker"):
        shown.marker.style = XL_MARKER_STYLE.NONE


def _marks(shown: Any) -> None:
    """A series of red points without a line."""
    shown.smooth = False
    shown.format.line.fill.background()
    shown.marker.style, shown.marker.size = XL_MARKER_STYLE.CIRCLE, 7
    fill(shown.marker.format.fill, "bad")
    shown.marker.format.line.fill.background()


def _end(  # noqa: PLR0913 - a point, its series and how both look
    canvas: Canvas, shown: Any, one: Series, colour: Colour, code: str, *, small: bool
) -> None:
    """Mark the last point of a line; a large chart has its value beside it."""
    known = [index for index, value in enumerate(one.values) if native(value) is not None]
    if not known or not hasattr(shown, "marker"):
        return
    point = shown.points[known[-1]]
    point.marker.style, point.marker.size = XL_MARKER_STYLE.CIRCLE, 5
    fill(point.marker.format.fill, colour)
    point.marker.format.line.fill.background()
    fill(point.format.line.fill, colour)
    if small:
        return
    label = point.data_label
    label.position = XL_LABEL_POSITION.ABOVE
    label.font.size, label.font.bold = canvas.points(_TEXT + 0.5), True
    paint(label.font.color, colour)
    element = label._get_or_add_dLbl()  # noqa: SLF001 - a label of one point has no number format of its own
    for child in element.findall(qn("c:numFmt")):
        element.remove(child)
    escaped = code.replace("&", "&amp;").replace('"', "&quot;")
    place = element.find(qn("c:spPr"))
    place = element.find(qn("c:txPr")) if place is None else place
    place.addprevious(
        parse_xml(f'<c:numFmt xmlns:c="{_CHART}" formatCode="{escaped}" sourceLinked="0"/>')
    )


def _breaks(picture: Plot, shown: Any, count: int) -> None:
    """Let no line cross a change of what is measured."""
    for rule in picture.rules:
        if rule.x is not None:
            after = min(math.ceil(rule.x * (count - 1) - 1e-6), count - 1)
            shown.points[after].format.line.fill.background()


def _signals(picture: Plot, one: Series) -> tuple[Any, ...]:
    """The values that the picture marks as out of the ordinary; None where it marks none."""
    places = [dot.x for dot in picture.dots if dot.tone == "bad"]
    places += [
        x for curve in picture.curves if curve.tone == "bad"
        for part in curve.parts for x, _ in part
    ]  # fmt: skip
    marked = {round(x * (len(one.values) - 1)) for x in places}
    return tuple(value if index in marked else None for index, value in enumerate(one.values))


def _over(chart: Any, columns: int) -> None:
    """Turn the series after the columns into lines over the same axes."""
    bars = chart.plots[0]._element  # noqa: SLF001 - python-pptx makes charts of one kind
    every = bars.findall(qn("c:ser"))
    if len(every) == columns:
        return
    lines = parse_xml(
        f'<c:lineChart xmlns:c="{_CHART}"><c:grouping val="standard"/><c:varyColors val="0"/>'
        '<c:marker val="1"/></c:lineChart>'
    )
    for one in every[columns:]:
        for child in one.findall(qn("c:invertIfNegative")):
            one.remove(child)
        marker = parse_xml(f'<c:marker xmlns:c="{_CHART}"><c:symbol val="none"/></c:marker>')
        one.find(qn("c:spPr")).addnext(marker)
        for child in one.findall(qn("c:smooth")):
            one.remove(child)
        one.append(parse_xml(f'<c:smooth xmlns:c="{_CHART}" val="0"/>'))
        lines.find(qn("c:marker")).addprevious(one)
    for identity in bars.findall(qn("c:axId")):
        lines.append(parse_xml(f'<c:axId xmlns:c="{_CHART}" val="{identity.get("val")}"/>'))
    bars.addnext(lines)


def _legend(canvas: Canvas, chart: Any) -> None:
    chart.has_legend = True
    chart.legend.position = XL_LEGEND_POSITION.BOTTOM
    chart.legend.include_in_layout = False
    chart.legend.font.size = canvas.points(_TEXT)
    paint(chart.legend.font.color, "muted")


def _bars(
    canvas: Canvas, picture: Bars, series: Sequence[Series], place: Place, *, small: bool
) -> None:
    """Lying bars, the first on top; several series are stacked."""
    values = [n for one in series for value in one.values if (n := native(value)) is not None]
    # The upper end of an interval is a pale bar behind its estimate.
    ends = [one for one in series if one.role == "high"]
    bars = [one for one in series if one.role == "bar"]
    is_stacked = len(bars) > 1
    code = axis_format(values, series[0].unit, canvas.lang)
    labels = series[0].labels
    kind = XL_CHART_TYPE.BAR_STACKED if is_stacked else XL_CHART_TYPE.BAR_CLUSTERED
    drawn = [*([] if is_stacked else ends), *bars]
    data = _data(labels, [(one.name, one.values) for one in drawn], code)
    chart = _chart(canvas, kind, place, data, picture.title)
    plot = chart.plots[0]
    plot.gap_width, plot.overlap = 60, 100
    for one, shown in zip(drawn, plot.series, strict=True):
        is_end = one.role == "high"
        fill(shown.format.fill, "calm" if is_end else _LINES[bars.index(one) % len(_LINES)])
        shown.invert_if_negative = False
    axis = chart.value_axis
    if not is_stacked:
        _bounds(axis, values, zero=True)
    _quiet(axis)
    if small:
        _quiet(chart.category_axis)
        return
    categories = chart.category_axis
    categories.reverse_order = True
    categories.has_major_gridlines = False
    categories.major_tick_mark = XL_TICK_MARK.NONE
    categories.format.line.fill.background()
    for one, shown in zip(drawn, plot.series, strict=True):
        if one.role == "high":
            continue
        text = shown.data_labels
        text.show_value = True
        text.number_format, text.number_format_is_linked = code, False
        text.font.size = canvas.points(_TEXT)
        paint(text.font.color, "paper" if ends or is_stacked else "ink")
        if not is_stacked:
            text.position = XL_LABEL_POSITION.INSIDE_BASE if ends else XL_LABEL_POSITION.OUTSIDE_END
    if is_stacked:
        _legend(canvas, chart)


@dataclass(frozen=True, slots=True)
class Steps:
    """A waterfall as stacked columns: what is left out below, totals, rises and falls.

    What crosses zero has a part on either side of it, so that each stands where it belongs.
    """

    hidden: list[float]
    totals: list[float]
    rises: list[float]
    falls: list[float]
    rises_below: list[float]
    falls_below: list[float]
    levels: list[float]

    @classmethod
    def of(cls, values: Sequence[float]) -> Steps:
        """The columns of a first total, the amounts in between, and a last total."""
        none = [0.0] * len(values)
        steps = cls([*none], [*none], [*none], [*none], [*none], [*none], [])
        steps.totals[0], steps.totals[-1] = values[0], values[-1]
        level = values[0]
        steps.levels.append(level)
        for index, amount in enumerate(values[1:-1], start=1):
            before, level = level, level + amount
            steps.levels.append(level)
            above = steps.rises if amount >= 0 else steps.falls
            below = steps.rises_below if amount >= 0 else steps.falls_below
            low, high = min(before, level), max(before, level)
            if low >= 0:
                steps.hidden[index], above[index] = low, high - low
            elif high <= 0:
                steps.hidden[index], above[index] = high, low - high
            else:
                above[index], below[index] = high, low
        steps.levels.append(values[-1])
        return steps


def _waterfall(canvas: Canvas, title: str, one: Series, place: Place) -> None:
    values = [native(value) or 0.0 for value in one.values]
    steps = Steps.of(values)
    lang, unit = canvas.lang, one.unit
    code, signed = axis_format(values, unit, lang), axis_format(values, unit, lang, signed=True)
    roles = {
        "hidden": steps.hidden, "total": steps.totals, "+": steps.rises,
        "\N{MINUS SIGN}": steps.falls, "+ <0": steps.rises_below,
        "\N{MINUS SIGN} <0": steps.falls_below,
    }  # fmt: skip
    columns = {role: amounts for role, amounts in roles.items() if any(amounts)}
    named = [
        (one.name if role == "total" else role, [value or None for value in amounts])
        for role, amounts in columns.items()
    ]
    data = _data(one.labels, named, code)
    chart = _chart(canvas, XL_CHART_TYPE.COLUMN_STACKED, place, data, title)
    plot = chart.plots[0]
    plot.gap_width, plot.overlap = 35, 100
    colours: dict[str, Colour] = {"total": "calm", "+": "rise", "+ <0": "rise"}
    for role, shown in zip(columns, plot.series, strict=True):
        shown.invert_if_negative = False
        if role == "hidden":
            shown.format.fill.background()
            shown.format.line.fill.background()
            continue
        fill(shown.format.fill, colours.get(role, "fall"))
        labels = shown.data_labels
        labels.show_value = True
        labels.font.size, labels.font.bold = canvas.points(_TEXT + 0.5), True
        paint(labels.font.color, "ink")
        labels.number_format = _code_of(role, code, signed)
        labels.number_format_is_linked = False
    axis = _values_axis(chart, code)
    low, high = min(steps.levels), max(steps.levels)
    is_cut = low > 0 and high - low < _SMALL_STEPS * high
    if is_cut:
        # Steps are small beside the totals: the axis begins above zero, and says where.
        ends = scale([max(low - (high - low) * 0.5, 0.0), high], zero=False)
        axis.minimum_scale, axis.maximum_scale = ends.low, ends.high
    else:
        _quiet(axis)
        axis.minimum_scale = min(low * 1.05, 0.0)
        axis.maximum_scale = max(high * 1.05, 0.0)
    _category_axis(chart, (" ",) * len(one.labels), place.width)


def _code_of(role: str, code: str, signed: str) -> str:
    """A fall is a column upwards, and says that it is a fall."""
    if role == "total":
        return code
    sign = '"+"' if role.startswith("+") else '"\N{MINUS SIGN}"'
    part = next(part for part in signed.split(";") if sign in part)
    return f"{part};{part}"
