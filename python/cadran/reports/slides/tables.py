"""Tables and heat maps as native tables: no style but rules, a head that readers know as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pptx.enum.text import MSO_ANCHOR
from pptx.oxml import parse_xml
from pptx.oxml.ns import qn

from cadran.charts.svg import text_width
from cadran.reports.html import SIGNS
from cadran.reports.slides.canvas import MILLIMETRES, Line, Run, describe, fill, line
from cadran.reports.slides.charts import Place, native_chart
from cadran.reports.slides.shapes import drawn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cadran.charts.picture import Grid
    from cadran.reports.pack import Cell, Column, Row, Table
    from cadran.reports.slides.canvas import Canvas, Colour

_PLAIN = "{2D5ABB26-0587-4C30-8999-92F81FD0307C}"  # PowerPoint's style without fills and rules
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
_SIDE = 1.2  # millimetres beside the text of a cell
_TEXT, _SMALL = 8.0, 6.8  # points
_PICTURE = 8.5  # millimetres of a picture in a cell
_SQUARE = 5.4  # millimetres of a row of a heat map
_WEIGHTS = {"strong": (True, "ink"), "plain": (False, "ink"), "muted": (False, "muted")}
_STATES: dict[str, Colour] = {"ok": "ok", "near": "near", "warn": "warn", "bad": "bad"}


@dataclass(frozen=True, slots=True)
class Pad:
    """Millimetres above and below the text of a cell."""

    normal: float
    dense: float


_PAD = Pad(1.2, 0.7)


def table_heights(table: Table, width: float) -> list[float]:
    """How high the head and each row of a table are, in millimetres."""
    widths = column_widths(table.columns, width)
    pad = _PAD.dense if table.is_dense else _PAD.normal
    heads = zip(table.columns, widths, strict=True)
    head = max((_lines(column.head, wide, _SMALL) for column, wide in heads), default=1)
    heights = [head * _SMALL * 1.25 * MILLIMETRES + 1.6]
    for row in table.rows:
        if row.kind == "group":
            heights.append(_TEXT * 1.25 * MILLIMETRES + 2.2)
            continue
        tallest = max(
            (_cell_height(cell, wide) for cell, wide in zip(row.cells, widths, strict=False)),
            default=0.0,
        )
        heights.append(tallest + 2 * pad)
    return heights


def _cell_height(cell: Cell, width: float) -> float:
    if cell.picture is not None:
        return _PICTURE
    text = cell.figure.text if cell.figure else cell.text
    mark = f"{SIGNS[cell.state]} " if cell.has_sign and cell.state else ""
    first = _lines(mark + text, width, _TEXT, bold=cell.weight == "strong")
    tall = first * _TEXT * 1.25 * MILLIMETRES
    if cell.small:
        tall += _lines(cell.small, width, _SMALL) * _SMALL * 1.25 * MILLIMETRES
    return tall


def _lines(text: str, width: float, size: float, *, bold: bool = False) -> int:
    """How many lines a text takes in a cell of a width in millimetres."""
    room = (width - 2 * _SIDE) / MILLIMETRES
    count, used = 1, 0.0
    for word in text.split(" "):
        wide = text_width(f"{word} ", size, bold=bold)
        if used and used + wide > room + 2:
            count, used = count + 1, 0.0
        used += wide
    return count


def column_widths(columns: Sequence[Column], width: float) -> list[float]:
    """The widths of columns so that they fill the block."""
    total = sum(column.width for column in columns) or 1.0
    return [column.width / total * width for column in columns]


def add_table(canvas: Canvas, table: Table, place: Place, squeeze: float = 1.0) -> None:
    """A table of the pack.

    Args:
        canvas: the slide.
        table: its title is said by screen readers.
        place: where it stands.
        squeeze: how much of their height the rows have.
    """
    heights = [height * squeeze for height in table_heights(table, place.width)]
    widths = column_widths(table.columns, place.width)
    spoken = f"{table.title} – {table.sub}" if table.sub else table.title  # noqa: RUF001 - a dash
    grid = _table(canvas, place, heights, widths, spoken)
    pad = (_PAD.dense if table.is_dense else _PAD.normal) * squeeze
    for index, column in enumerate(table.columns):
        text = line(column.head, _SMALL, colour="muted", align=column.align)
        _write(canvas, grid.cell(0, index), [text], index, len(widths), 0.3)
        grid.cell(0, index).vertical_anchor = MSO_ANCHOR.BOTTOM
        _rule(grid.cell(0, index), "ink", 0.9)
    y = place.y + heights[0]
    for number, row in enumerate(table.rows, start=1):
        is_last = number == len(table.rows)
        is_before_total = not is_last and table.rows[number].kind == "total"
        _row(canvas, grid, number, row, table.columns, pad)
        for index in range(len(widths)):
            cell = grid.cell(number, index)
            _rule(cell, "ink" if is_last or is_before_total else "rule",
                  0.9 if is_last or is_before_total else 0.4)  # fmt: skip
        x = place.x
        for cell, wide in zip(row.cells, widths, strict=False):
            if cell.picture is not None and row.kind != "group":
                area = Place(x + _SIDE / 2, y + (heights[number] - _PICTURE * squeeze) / 2,
                             wide - _SIDE, _PICTURE * squeeze)  # fmt: skip
                if not native_chart(canvas, cell.picture, cell.series, area, small=True):
                    drawn(canvas, cell.picture, area)
            x += wide
        y += heights[number]


def _row(  # noqa: PLR0913, PLR0917 - a row and the table that it stands in
    canvas: Canvas, grid: Any, number: int, row: Row, columns: Sequence[Column], pad: float
) -> None:
    if row.kind == "group":
        first = grid.cell(number, 0)
        if len(columns) > 1:
            first.merge(grid.cell(number, len(columns) - 1))
        head = line(row.cells[0].text, _TEXT, bold=True, colour="accent")
        _write(canvas, first, [head], 0, 1, pad)
        first.vertical_anchor = MSO_ANCHOR.BOTTOM
        return
    for index, (cell, column) in enumerate(zip(row.cells, columns, strict=False)):
        lines = _cell_lines(cell, column.align, is_total=row.kind == "total")
        _write(canvas, grid.cell(number, index), lines, index, len(columns), pad)


def _cell_lines(cell: Cell, align: Any, *, is_total: bool) -> list[Line]:
    bold, colour = _WEIGHTS[cell.weight]
    ink: Any = _STATES.get(cell.state, colour)
    bold = bold or is_total or cell.state in {"warn", "bad"}
    text = cell.figure.text if cell.figure else cell.text
    runs = [Run(text, _TEXT, bold, ink)]
    if cell.has_sign and cell.state:
        runs.insert(0, Run(f"{SIGNS[cell.state]}\N{NO-BREAK SPACE}", _TEXT, bold, ink))
    lines = [Line(tuple(runs), align)]
    if cell.small:
        lines.append(line(cell.small, _SMALL, colour="muted", align=align))
    return lines


def grid_height(grid: Grid) -> float:
    """How high a heat map is, in millimetres."""
    heads = max((name.count(" ") + 1 if len(name) > 7 else 1 for name in grid.columns), default=1)  # noqa: PLR2004 - letters in a column
    legend = 5.0 if grid.legend else 0.0
    return min(heads, 2) * 3.2 + 1.5 + len(grid.rows) * _SQUARE + legend


def add_grid(canvas: Canvas, grid: Grid, place: Place) -> None:
    """A heat map: the colour of a cell is its level, its figure and sign stand in it."""
    legend = 5.0 if grid.legend else 0.0
    names = min(
        max((text_width(name, 7.5) for name, _ in grid.rows), default=0) * MILLIMETRES + 4,
        place.width * 0.3,
    )
    each = (place.width - names) / max(len(grid.columns), 1)
    head = grid_height(grid) - legend - len(grid.rows) * _SQUARE
    step = (place.height - legend - head) / max(len(grid.rows), 1)
    shown = _table(
        canvas, place, [head, *(step for _ in grid.rows)], [names, *(each for _ in grid.columns)],
        grid.title,
    )  # fmt: skip
    for index, name in enumerate(("", *grid.columns)):
        text = line(name, 6.5, colour="muted", align="center")
        _write(canvas, shown.cell(0, index), [text], index, 0, 0.2, side=0)
        shown.cell(0, index).vertical_anchor = MSO_ANCHOR.BOTTOM
    for number, (name, cells) in enumerate(grid.rows, start=1):
        _write(canvas, shown.cell(number, 0), [line(name, 7.5)], 0, 0, 0.1)
        for index, one in enumerate(cells, start=1):
            cell = shown.cell(number, index)
            if one is None:
                dash = line("\N{EN DASH}", 7, colour="muted", align="center")
                _write(canvas, cell, [dash], index, 0, 0.1, side=0)
                continue
            level: Any = f"heat-{one.level}"
            fill(cell.fill, level)
            ink: Colour = "paper" if one.level == 4 else "ink"  # noqa: PLR2004 - the darkest
            figure = f"{one.text} {one.sign}".strip()
            shown_text = line(figure, 7, bold=bool(one.sign), colour=ink, align="center")
            _write(canvas, cell, [shown_text], index, 0, 0.1, side=0)
        for index in range(len(cells) + 1):
            sides = ("L", "R", "T", "B") if index else ("T", "B")
            _rule(shown.cell(number, index), "paper", 1.2, sides)
    x, y = place.x + names, place.y + place.height - 4.2
    for step_of, words in grid.legend:
        colour: Any = f"heat-{step_of}"
        wide = text_width(words, 6.8) * MILLIMETRES + 2
        canvas.rect(x, y + 0.7, 3.6, 2.4, colour)
        canvas.text(x + 4.6, y, wide, 3.8, [line(words, 6.8, colour="muted")], anchor="middle")
        x += wide + 7


def _table(
    canvas: Canvas, place: Place, heights: Sequence[float], widths: Sequence[float], title: str
) -> Any:
    frame = canvas.slide.shapes.add_table(
        len(heights), len(widths), *canvas.area(place.x, place.y, place.width, sum(heights))
    )
    frame.name = f"Table {frame.shape_id}"
    describe(frame, title)
    table = frame.table
    table.horz_banding = False
    style = frame.element.xpath(".//a:tableStyleId")[0]
    style.text = _PLAIN
    for row, height in zip(table.rows, heights, strict=True):
        row.height = canvas.size(height)
    for column, width in zip(table.columns, widths, strict=True):
        column.width = canvas.size(width)
    return table


def _write(  # noqa: PLR0913, PLR0917 - a cell, what stands in it and where
    canvas: Canvas, cell: Any, lines: Sequence[Line], index: int, count: int, pad: float,
    side: float = _SIDE,
) -> None:  # fmt: skip
    cell.margin_left = canvas.size(0 if index == 0 else side)
    cell.margin_right = canvas.size(0 if count and index == count - 1 else side)
    cell.margin_top = cell.margin_bottom = canvas.size(pad)
    cell.vertical_anchor = MSO_ANCHOR.MIDDLE
    canvas.write(cell.text_frame, lines, margin=True)


_COLOURS = {
    "ink": '<a:schemeClr val="tx1"/>', "paper": '<a:schemeClr val="bg1"/>',
    "rule": '<a:srgbClr val="D8DEE3"/>',
}  # fmt: skip


def _rule(cell: Any, colour: str, width: float, sides: tuple[str, ...] = ("B",)) -> None:
    """Lines at the sides of a cell, as wide as so many points."""
    properties = cell._tc.get_or_add_tcPr()  # noqa: SLF001 - python-pptx draws no rules of cells
    for number, side in enumerate(sides):
        found = properties.find(qn(f"a:ln{side}"))
        if found is not None:
            properties.remove(found)
        rule = parse_xml(
            f'<a:ln{side} xmlns:a="{_DRAWING}" w="{round(width * 12700)}" cap="flat">'
            f"<a:solidFill>{_COLOURS[colour]}</a:solidFill></a:ln{side}>"
        )
        properties.insert(number, rule)
