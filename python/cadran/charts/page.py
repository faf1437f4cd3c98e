"""Pictures as elements of a page: stretched SVG for marks, HTML for words.

The plot is stretched to whatever room there is; strokes keep their width, words their size. The
colours are those of the page's style sheet (`--blue`, `--bad`, ...), light or dark.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from cadran.charts import graph
from cadran.charts.picture import Bars, Grid, Panels, Plot, stepped, transposed
from cadran.charts.svg import LIGHT, Canvas

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.charts.picture import (
        Bar,
        Cell,
        Curve,
        Dot,
        Graph,
        Panel,
        Picture,
        Point,
        Segment,
        Table,
    )

_WIDE, _TALL = 1000, 1000  # units of the stretched plot
_DASHES = {"solid": "", "dashed": ' stroke-dasharray="5 4"', "dotted": ' stroke-dasharray="2 3"'}
_MOST_TURNED = 7  # columns of a heat map that a phone has room for
_ROW_HEAD, _FIGURE = Markup('<th scope="row">{}</th>'), Markup("<td>{}</td>")
SIGNS = {"disc": "●", "ring": "○", "triangle": "▲", "diamond": "◆", "square": "■"}


def page(picture: Picture, *, more: str = "") -> Markup:
    """The picture as an element of a page.

    Args:
        picture: what is drawn.
        more: the words that open the table of its figures; without them it has none.
    """
    if isinstance(picture, Plot):
        return _plot(picture, more)
    if isinstance(picture, Bars):
        return _bars(picture)
    if isinstance(picture, Panels):
        return _panels(picture)
    return _grid(picture) if isinstance(picture, Grid) else _graph(picture)


def spark(picture: Plot) -> Markup:
    """A plot without axes, in the size of a word; its figures stand beside it."""
    return Markup('<div class="spark" aria-hidden="true" data-marks="{}">{}{}</div>').format(
        picture.marks, _drawing(picture), _dots(picture.dots)
    )


def _plot(picture: Plot, more: str) -> Markup:
    plot = [
        Markup('<div class="plot" style="height:{}px">').format(picture.height),
        _drawing(picture),
        Markup("").join(
            Markup('<span class="y" style="top:{}%">{}</span>').format(_percent(tick.at), tick.text)
            for tick in picture.y
        ),
        _rule_labels(picture),
        _dots(picture.dots),
        Markup("</div>"),
    ]
    ends = Markup("").join(
        Markup('<span class="end {}" style="top:{}%"><b>{}</b> {}</span>').format(
            end.tone, _percent(end.y), end.value, end.name
        )
        for end in picture.ends
    )
    legend = Markup("").join(
        Markup('<span class="{}"><i class="key {}"></i><b>{}</b> {}</span>').format(
            end.tone, end.style, end.value, end.name
        )
        for end in picture.ends
    )
    events = (
        Markup('<div class="lane">{}</div>').format(_dots(picture.events)) if picture.events else ""
    )
    ticks = Markup("").join(
        Markup('<span style="left:{}%"{}>{}</span>').format(
            _percent(tick.at), _edge(tick.at), tick.text
        )
        for tick in picture.x
    )
    return Markup(
        '<figure class="chart{ended}" data-marks="{marks}"><div class="drawn" role="img"'
        ' aria-label="{title}">{plot}{ends}{events}<div class="x">{ticks}</div></div>'
        "{legend}{table}</figure>"
    ).format(
        ended=" ended" if picture.ends else "",
        marks=picture.marks,
        title=picture.title,
        plot=Markup("").join(plot),
        ends=Markup('<div class="ends" style="height:{}px">{}</div>').format(picture.height, ends)
        if picture.ends
        else "",
        events=events,
        ticks=ticks,
        legend=Markup('<div class="legend" aria-hidden="true">{}</div>').format(legend)
        if picture.ends
        else "",
        table=_table(picture.table, more) if more and picture.table else "",
    )


def _edge(at: float) -> Markup:
    side = "first" if at < 0.02 else "last" if at > 0.98 else ""  # noqa: PLR2004 - near an edge
    return Markup(' class="{}"').format(side) if side else Markup()


def _drawing(picture: Plot) -> Markup:
    parts: list[Markup] = [_line("grid", 0, tick.at, 1, tick.at) for tick in picture.y]
    parts += [
        Markup('<rect class="{}{}" x="{}" y="{}" width="{}" height="{}"/>').format(
            c.tone, " soft" if c.soft else "", _x(c.x), _y(c.y), _x(c.width), _y(c.height)
        )
        for c in picture.columns
    ]
    for band in picture.bands:
        around = _path((*band.upper, *reversed(band.lower)))
        parts.append(Markup('<path class="{} area" d="{}Z"/>').format(band.tone, around))
    for curve in picture.curves:
        parts += _curve(curve)
    for rule in picture.rules:
        if rule.x is not None:
            parts.append(_line(f"{rule.tone} rule", rule.x, 0, rule.x, 1))
        else:
            parts.append(_line(f"{rule.tone} rule", 0, rule.y or 0.0, 1, rule.y or 0.0))
    return Markup(
        '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" focusable="false"'
        ' aria-hidden="true">{}</svg>'
    ).format(_WIDE, _TALL, Markup("").join(parts))


def _curve(curve: Curve) -> list[Markup]:
    drawn = []
    for part in curve.parts:
        points = stepped(part) if curve.stepped else part
        if curve.filled and len(points) > 1:
            foot = ((points[-1][0], 1.0), (points[0][0], 1.0))
            drawn.append(
                Markup('<path class="{} area" d="{}Z"/>').format(
                    curve.tone, _path((*points, *foot))
                )
            )
        if len(points) > 1:
            drawn.append(
                Markup('<path class="{} line" d="{}"{}/>').format(
                    curve.tone,
                    _path(points),
                    Markup(_DASHES[curve.style]),  # noqa: S704 - ours
                )
            )
    return drawn


def _line(classes: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<path class="{}" d="M{} {}L{} {}"/>').format(
        classes, _x(x1), _y(y1), _x(x2), _y(y2)
    )


def _path(points: Iterable[Point]) -> str:
    return "M" + "L".join(f"{_x(x)} {_y(y)}" for x, y in points)


def _x(at: float) -> str:
    return f"{at * _WIDE:.5g}"


def _y(at: float) -> str:
    return f"{at * _TALL:.5g}"


def _percent(at: float) -> str:
    return f"{at * 100:.4g}"


def _dots(dots: tuple[Dot, ...]) -> Markup:
    return Markup("").join(
        Markup('<i class="dot {} {}" style="left:{}%;top:{}%"{}></i>').format(
            dot.shape,
            dot.tone,
            _percent(dot.x),
            _percent(dot.y),
            Markup(' title="{}"').format(dot.title) if dot.title else "",
        )
        for dot in dots
    )


def _rule_labels(picture: Plot) -> Markup:
    labels = []
    for rule in picture.rules:
        if not rule.text:
            continue
        if rule.x is not None:
            side = "left" if rule.x > 0.6 else "right"  # noqa: PLR2004 - the side that is free
            place, at = f"upright {side}", f"left:{_percent(rule.x)}%"
        else:
            place, at = "level", f"top:{_percent(rule.y or 0.0)}%"
        labels.append(
            Markup('<span class="note {} {}" style="{}">{}</span>').format(
                place, rule.tone, at, rule.text
            )
        )
    return Markup("").join(labels)


def _table(table: Table, more: str) -> Markup:
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in table.head)
    rows = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(
                (_ROW_HEAD if at == 0 else _FIGURE).format(text) for at, text in enumerate(row)
            )
        )
        for row in table.rows
    )
    return Markup(
        '<details class="figures"><summary>{}</summary><div class="scroll" tabindex="0">'
        "<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div></details>"
    ).format(more, head, rows)


def _bars(picture: Bars) -> Markup:
    rows = Markup("").join(_bar(row, picture.strokes) for row in picture.rows)
    legend = Markup("").join(
        Markup('<span class="{}"><i class="key"></i>{}</span>').format(tone, words)
        for tone, words in picture.legend
    )
    return Markup(
        '<div class="bars" data-marks="{}" role="list" aria-label="{}">{}</div>{}'
    ).format(
        picture.marks,
        picture.title,
        rows,
        Markup('<div class="legend">{}</div>').format(legend) if legend else "",
    )


def _panels(picture: Panels) -> Markup:
    return Markup('<div class="multiples" role="list" aria-label="{}">{}</div>').format(
        picture.title, Markup("").join(_panel(panel) for panel in picture.panels)
    )


def _panel(panel: Panel) -> Markup:
    return Markup(
        '<div class="multiple" role="listitem"><div class="line"><span>{}</span><b>{}</b></div>{}'
        "</div>"
    ).format(panel.name, panel.value, spark(panel.plot))


def _bar(row: Bar, strokes: tuple[float, ...]) -> Markup:
    label = (
        Markup('<a href="{}">{}</a>').format(row.link, row.label) if row.link else escape(row.label)
    )
    return Markup(
        '<div class="bar" role="listitem"><span class="label">{}{}</span>'
        '<span class="track" aria-hidden="true">{}{}{}</span>'
        '<span class="value {}">{}</span></div>'
    ).format(
        label,
        Markup("<small>{}</small>").format(row.detail) if row.detail else "",
        Markup("").join(_segment(segment) for segment in row.segments),
        Markup("").join(
            Markup('<i class="stroke" style="left:{}%"></i>').format(_percent(at)) for at in strokes
        ),
        _dots(row.dots),
        row.tone,
        row.value,
    )


def _segment(segment: Segment) -> Markup:
    return Markup('<i class="segment {}{}" style="left:{}%;width:{}%"></i>').format(
        segment.tone,
        " soft" if segment.soft else "",
        _percent(segment.x),
        _percent(segment.width),
    )


def _grid(picture: Grid) -> Markup:
    """A heat map; a phone gets it on its side, a few of its rows at a time as columns."""
    shown = [(picture, "heat")]
    if len(picture.columns) > _MOST_TURNED:
        blocks = range(0, len(picture.rows), _MOST_TURNED)
        turned = [replace(picture, rows=picture.rows[at : at + _MOST_TURNED]) for at in blocks]
        shown = [(picture, "heat broad"), *((transposed(block), "heat tall") for block in turned)]
    legend = Markup("").join(
        Markup('<span><i class="heat-{}"></i>{}</span>').format(level, words)
        for level, words in picture.legend
    )
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}">{}</div>'
        '<div class="legend heat-legend">{}</div>'
    ).format(
        picture.title, Markup("").join(_heat(grid, classes) for grid, classes in shown), legend
    )


def _heat(grid: Grid, classes: str) -> Markup:
    head = Markup("").join(
        Markup('<th scope="col"><span>{}</span></th>').format(name) for name in grid.columns
    )
    rows = Markup("").join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            name, Markup("").join(_cell(cell) for cell in cells)
        )
        for name, cells in grid.rows
    )
    return Markup(
        '<table class="{}" data-marks="{}"><thead><tr><td></td>{}</tr></thead>'
        "<tbody>{}</tbody></table>"
    ).format(classes, grid.marks, head, rows)


def _graph(picture: Graph) -> Markup:
    """A graph in its own size, which is rolled where the page is narrower."""
    canvas = Canvas({tone: f"var(--{tone})" for tone in LIGHT})
    graph.draw(canvas, picture)
    drawn = Markup(canvas.svg(picture.width, picture.height, picture.title))  # noqa: S704 - escaped
    return Markup(
        '<div class="scroll graph" tabindex="0" role="region" aria-label="{}"'
        ' data-marks="{}">{}</div>'
    ).format(picture.title, picture.marks, drawn)


def _cell(cell: Cell | None) -> Markup:
    if cell is None:
        return Markup('<td class="heat-none">&ndash;</td>')
    return Markup('<td class="heat-{}"{}>{}{}</td>').format(
        cell.level,
        Markup(' title="{}"').format(cell.title) if cell.title else "",
        cell.text,
        Markup(" <span>{}</span>").format(cell.sign) if cell.sign else "",
    )
