"""The pack as slides: a slide for each page, laid out in the grid of the printed page.

Tables are native, charts are native wherever a block keeps its series, and the notes of a slide say
how it was measured. The same pack and template give the same bytes.
"""

from __future__ import annotations

import datetime as dt
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pptx.enum.text import MSO_ANCHOR
from pptx.util import Pt

from cadran.charts.picture import Bars, Grid, Panels
from cadran.charts.svg import text_width
from cadran.errors import ReportError
from cadran.reports.html import SIGNS, width
from cadran.reports.incidents import PARTS
from cadran.reports.office import settled, words
from cadran.reports.pack import (
    Advice,
    Notes,
    Paragraphs,
    PictureBlock,
    Table,
    Tiles,
    figures_of,
    rows_of,
)
from cadran.reports.slides.canvas import (
    FOOT,
    LEFT,
    LINE,
    MILLIMETRES,
    TOP,
    WIDTH,
    Canvas,
    Line,
    Run,
    line,
)
from cadran.reports.slides.charts import Place, native_chart, panel_rows
from cadran.reports.slides.shapes import drawn
from cadran.reports.slides.tables import (
    add_grid,
    add_table,
    grid_height,
    table_heights,
)
from cadran.reports.slides.template import Ground, ground

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cadran.reports.pack import Block, Pack, Page, Text, Tile
    from cadran.reports.slides.canvas import Colour

_GUTTER, _BETWEEN = 5.0, 5.5  # millimetres between blocks, side by side and one below the other
_HEAD = 5.6  # millimetres of a block's title
_END, _END_WITH_CONTENTS = 196.0, 190.0  # where content ends
_TITLES, _LEAST_TITLE = {"summary": 20.0}, 15.5  # points
_TITLE = 17.0
_MOST_TITLE, _LEAST_FITTED = 28.0, 12.0  # points of a title in a template
_INSETS, _EMU = 6.0, 36_000  # millimetres beside its text; of a millimetre
_TILES, _TILE_STEP = 48.0, 5  # millimetres; tiles that fill a row
_COURSE = 11.0  # millimetres
_PANEL = 36.0
_SQUEEZE = 0.88  # of their height, down to which the rows of tables go
_RULES: dict[str, Colour] = {"warn": "warn", "bad": "bad"}
_STATES: dict[str, Colour] = {"ok": "ok", "near": "near", "warn": "warn", "bad": "bad", "": "muted"}
_MOST_SOURCES = 40
# Parts of an estimate, and figures of one recommendation, have one source.
_PART = re.compile(rf" (?:{'|'.join(PARTS)})$|(?<=^recommendation )(\S+) \S+(?= \()")


def slides(pack: Pack, template: Path | None = None) -> bytes:
    """The pack as a PPTX file.

    Args:
        pack: the document.
        template: a PPTX file whose theme, master and layout are used; by default our own.

    Raises:
        ReportError: the template cannot be used, or a page does not fit on its slide.
    """
    found = ground(template)
    presentation = found.presentation
    for page in pack.pages:
        _slide(found, pack, page)
    properties = presentation.core_properties
    properties.title = f"{pack.name} \N{EN DASH} {pack.title} \N{EN DASH} {pack.period}"
    properties.author, properties.last_modified_by = pack.name, "Cadran"
    properties.language, properties.revision = pack.lang, 1
    properties.subject = properties.keywords = properties.comments = ""
    properties.created = properties.modified = dt.datetime.combine(pack.until, dt.time())
    out = io.BytesIO()
    presentation.save(out)
    return settled(out.getvalue(), pack.until)


def _slide(found: Ground, pack: Pack, page: Page) -> None:
    slide = found.presentation.slides.add_slide(found.layout)
    slide.name = page.key
    canvas = Canvas(slide, pack.lang, found.left, found.top, found.scale)
    top = _title(canvas, found, pack, page)
    end = _END_WITH_CONTENTS if page is pack.pages[0] and len(pack.pages) > 1 else _END
    _content(canvas, page, top, end)
    if end == _END_WITH_CONTENTS:
        _contents(canvas, pack)
    foot = [line(page.foot, 6.2, colour="muted")]
    canvas.text(LEFT, 197.5, WIDTH - 12, FOOT - 197.5, foot, name="Foot")
    number = [line(page.folio, 6.2, bold=True, align="right")]
    canvas.text(LEFT + WIDTH - 10, 197.5, 10, 4, number, name="Folio")
    slide.notes_slide.notes_text_frame.text = _notes(pack, page)


def _title(canvas: Canvas, found: Ground, pack: Pack, page: Page) -> float:
    """The title, the subtitle and what stands above them; returns where content begins."""
    for shape in list(canvas.slide.placeholders):
        if shape.placeholder_format.type not in {1, 3}:
            shape.element.getparent().remove(shape.element)
    title = canvas.slide.shapes.title
    if title is None:  # a layout is taken only if it has one
        raise ReportError(f"The layout '{found.layout.name}' gives slides no title.")
    text = f"{page.title.lead} {page.title.text}".strip()
    top = TOP
    if found.is_own:
        size = _TITLES.get(page.key, _TITLE)
        while size > _LEAST_TITLE and _wide(text, size) > WIDTH:
            size -= 0.5
        lines = 1 if _wide(text, size) <= WIDTH else 2
        tall = lines * size * LINE * MILLIMETRES
        canvas.write(title.text_frame, [line(text, size, bold=True)], shrinks=True)
        title.text_frame.vertical_anchor = MSO_ANCHOR.TOP
        title.left, title.top, title.width, title.height = canvas.area(LEFT, 14, WIDTH, tall)
        head = Line((
            Run(pack.name, 7, bold=True, colour="accent"),
            Run(f" · {pack.title} · {pack.period}", 7, colour="muted"),
        ))  # fmt: skip
        canvas.text(LEFT, 8.2, WIDTH * 0.75, 4, [head], name="Head")
        name = [line(page.name, 7, colour="muted", align="right")]
        canvas.text(LEFT + WIDTH * 0.75, 8.2, WIDTH * 0.25, 4, name, name="Name")
        canvas.rect(LEFT, 12.6, WIDTH, 0.12, "rule")
        top = 14 + tall + 0.8
    else:
        _fitted(title, text)
    told = f"{page.subtitle.lead} {page.subtitle.text}".strip()
    tall = _lines(told, WIDTH, 9) * 9 * LINE * MILLIMETRES
    canvas.text(LEFT, top, WIDTH, tall, [line(told, 9, colour="muted")], name="Subtitle")
    return top + tall + _BETWEEN


def _fitted(title: Any, text: str) -> None:
    """Write a title as large as the template's placeholder has room for."""
    across, high = title.width / _EMU - _INSETS, title.height / _EMU - 1
    size = _MOST_TITLE
    while size > _LEAST_FITTED and _lines(text, across, size) * size * LINE * MILLIMETRES > high:
        size -= 1
    title.text_frame.text = text
    title.text_frame.paragraphs[0].runs[0].font.size = Pt(size)


def _wide(text: str, size: float) -> float:
    return text_width(text, size, bold=True) * MILLIMETRES


def _lines(text: str, room: float, size: float, lead: str = "") -> int:
    """How many lines a text takes in a width in millimetres, its lead in bold."""
    count, used = 1, 0.0
    for part, bold in ((lead, True), (text, False)):
        for word in part.split():
            wide = text_width(f"{word} ", size, bold=bold) * MILLIMETRES
            if used and used + wide > room:
                count, used = count + 1, 0.0
            used += wide
    return count


@dataclass(frozen=True, slots=True)
class _Need:
    """How high a block is, and between what it may be."""

    least: float
    usual: float
    most: float


def _need(block: Block, key: str) -> _Need:
    across = width(block.span)
    if isinstance(block, Tiles):
        high = max((_tile_height(tile) for tile in block.tiles), default=0.0)
        rows = -(-len(block.tiles) // _TILE_STEP)
        return _Need(high * rows, high * rows, high * rows)
    if isinstance(block, Table):
        head = _HEAD if block.title else 0.0
        high = sum(table_heights(block, across))
        return _Need(head + high * _SQUEEZE, head + high, head + high)
    if isinstance(block, PictureBlock):
        least, usual, most = _picture_need(block, across)
        head = _HEAD if block.title else 0.0
        return _Need(head + least, head + usual, head + most)
    size = _size(block, key)
    room = across - (14.0 if isinstance(block, Advice) else 0.0)
    high = _HEAD if _titled(block) else 0.0
    for text in block.texts:
        high += _lines(text.text, room, size, text.lead) * size * LINE * MILLIMETRES
        high += _after(block) * MILLIMETRES
    high += 8.0 if isinstance(block, Advice) else 0.0
    return _Need(high, high, high)


def _picture_need(block: PictureBlock, across: float) -> tuple[float, float, float]:
    picture = block.picture
    if isinstance(picture, Grid):
        high = grid_height(picture)
        return high * 0.86, high, high * 1.25
    if isinstance(picture, Panels):
        _, rows = panel_rows(picture, across)
        return rows * 24.0, rows * _PANEL, rows * 52.0
    if isinstance(picture, Bars) and not _is_waterfall(block):
        count = len(picture.rows)
        return 10 + count * 5.0, 12 + count * 8.0, 16 + count * 12.0
    usual = block.height or 64.0
    return 34.0, usual, max(usual, 112.0)


def _is_waterfall(block: PictureBlock) -> bool:
    return any(one.role in {"step", "total"} for one in block.series)


def _size(block: Block, key: str) -> float:
    if isinstance(block, Notes):
        return 7.0
    if isinstance(block, Paragraphs) and block.is_small:
        return 7.4
    return 8.5 if key == "summary" else 8.0


def _after(block: Block) -> float:
    """Points below a paragraph."""
    return 2.3 if isinstance(block, Notes) else 5.0


def _titled(block: Block) -> bool:
    return bool(getattr(block, "title", ""))


def _content(canvas: Canvas, page: Page, top: float, end: float) -> None:
    rows = rows_of(page)
    needs = [[_need(block, page.key) for block in row] for row in rows]
    room = end - top - _BETWEEN * max(len(rows) - 1, 0)
    heights = _shared([_tallest(row) for row in needs], room)
    if heights is None:
        least = sum(_tallest(row).least for row in needs)
        raise ReportError(
            f"Page {page.folio} ({page.name}) does not fit on a slide: it needs"
            f" {least - room:.0f} mm more."
        )
    y = top
    for row, high in zip(rows, heights, strict=True):
        x = LEFT
        for block in row:
            across = width(block.span)
            _block(canvas, block, page.key, Place(x, y, across, high))
            x += across + _GUTTER
        y += high + _BETWEEN


def _tallest(row: Sequence[_Need]) -> _Need:
    least = max((one.least for one in row), default=0.0)
    usual = max((one.usual for one in row), default=0.0)
    return _Need(least, usual, max(usual, *(one.most for one in row)))


def _shared(needs: Sequence[_Need], room: float) -> list[float] | None:
    """How high each row is, so that all have room; None where they cannot."""
    usual = sum(one.usual for one in needs)
    ends = [one.most if usual <= room else one.least for one in needs]
    reach = sum(end - one.usual for end, one in zip(ends, needs, strict=True))
    if usual > room and usual + reach > room + 0.5:
        return None
    share = min(max((room - usual) / reach, 0.0), 1.0) if reach else 0.0
    return [one.usual + share * (end - one.usual) for one, end in zip(needs, ends, strict=True)]


def _block(canvas: Canvas, block: Block, key: str, place: Place) -> None:
    if isinstance(block, Tiles):
        _tiles(canvas, block.tiles, place)
        return
    if isinstance(block, Advice):
        canvas.rect(place.x, place.y, place.width, place.height, "sunk", "Ground")
        place = Place(place.x + 4, place.y + 3.5, place.width - 8, place.height - 7)
    title = getattr(block, "title", "")
    sub = getattr(block, "sub", "")
    if title and not isinstance(block, (Paragraphs, Advice)):
        runs = [Run(title, 9, bold=True, colour="accent")]
        if sub:
            runs.append(Run(f"  {sub}", 7, colour="muted"))
        head = [Line(tuple(runs))]
        canvas.text(place.x, place.y, place.width, _HEAD - 1, head, shrinks=True)
        place = Place(place.x, place.y + _HEAD, place.width, place.height - _HEAD)
    if isinstance(block, Table):
        natural = sum(table_heights(block, place.width))
        add_table(canvas, block, place, min(1.0, max(place.height / natural, _SQUEEZE)))
    elif isinstance(block, PictureBlock):
        _picture(canvas, block, place)
    else:
        size = _size(block, key)
        lines = [line(title, 9, bold=True, colour="accent", after=4)] if title else []
        lines += [
            _paragraph(text, size, _after(block), number if isinstance(block, Advice) else 0,
                       "muted" if isinstance(block, Notes) else "ink")
            for number, text in enumerate(block.texts, start=1)
        ]  # fmt: skip
        canvas.text(place.x, place.y, place.width, place.height, lines)


def _paragraph(text: Text, size: float, after: float, number: int, colour: Colour) -> Line:
    runs = []
    if number:
        runs.append(Run(f"{number}  ", size, bold=True, colour="accent"))
    if text.lead:
        runs.append(Run(f"{text.lead} ", size, bold=True, colour=colour))
    runs.append(Run(text.text, size, colour=colour))
    return Line(tuple(runs), after=after)


def _picture(canvas: Canvas, block: PictureBlock, place: Place) -> None:
    if isinstance(block.picture, Grid):
        natural = grid_height(block.picture)
        high = min(max(place.height, natural * 0.86), natural * 1.25)
        add_grid(canvas, block.picture, Place(place.x, place.y, place.width, high))
        return
    if not native_chart(canvas, block.picture, block.series, place):
        drawn(canvas, block.picture, place)


def _tile_height(tile: Tile) -> float:
    text = 8 + 21 + 8 + len(tile.comparisons) * 7.6
    return text * LINE * MILLIMETRES + 5.0 + (_COURSE if tile.picture is not None else 0.0)


def _tiles(canvas: Canvas, tiles: Sequence[Tile], place: Place) -> None:
    across = (WIDTH - (_TILE_STEP - 1) * _GUTTER) / _TILE_STEP
    high = max((_tile_height(tile) for tile in tiles), default=0.0)
    for index, tile in enumerate(tiles):
        x = place.x + index % _TILE_STEP * (across + _GUTTER)
        y = place.y + index // _TILE_STEP * high
        _tile(canvas, tile, x, y, across)


def _tile(canvas: Canvas, tile: Tile, x: float, y: float, across: float) -> None:
    canvas.rect(x, y, across, 0.55, _RULES.get(tile.state, "ink"))
    sign = f"{SIGNS[tile.state]}\N{NO-BREAK SPACE}" if tile.state else ""
    lines = [
        line(tile.label, 8, bold=True),
        line(tile.figure.text, 21, bold=True),
        line(f"{sign}{tile.state_text}", 8, bold=True, colour=_STATES[tile.state], after=2),
    ]
    for one in tile.comparisons:
        figures = [one.figure.text] if one.change is None else [one.figure.text, one.change.text]
        shown = "".join(f"\t{text}" for text in figures).replace(" ", "\N{NO-BREAK SPACE}")
        runs = (Run(one.name, 7.6, colour="muted"), Run(shown, 7.6, bold=True))
        stops = (across,) if one.change is None else (across * 0.64, across)
        lines.append(Line(runs, tabs=stops))
    text = _tile_height(tile) - (_COURSE if tile.picture is not None else 0.0) - 1.8
    canvas.text(x, y + 1.8, across, text, lines, name=tile.label)
    if tile.picture is not None:
        course = Place(x, y + 1.8 + text, across, _COURSE - 1)
        if not native_chart(canvas, tile.picture, tile.series, course, small=True):
            drawn(canvas, tile.picture, course)


def _contents(canvas: Canvas, pack: Pack) -> None:
    whole = pack.contents + "".join(f"   {page.folio} {page.name}" for page in pack.pages)
    size = min(7.0, max(5.5, 7.0 * (WIDTH - 4) / (text_width(whole, 7) * MILLIMETRES)))
    runs = [Run(pack.contents, size, colour="muted")]
    for page in pack.pages:
        runs += [
            Run(f"   {page.folio}\N{NO-BREAK SPACE}", size, bold=True),
            Run(page.name, size, colour="muted"),
        ]
    canvas.text(LEFT, 191.8, WIDTH, 4, [Line(tuple(runs))], name="Contents", shrinks=True)


def _notes(pack: Pack, page: Page) -> str:
    """What whoever presents has to know: how the page was measured, and where figures come from."""
    w = words(pack.lang)
    told = [f"{w['notes_measured']}: {page.foot}".replace(": ", _colon(pack.lang), 1)]
    for block in page.blocks:
        if isinstance(block, Notes):
            told += [f"{text.lead} {text.text}".strip() for text in block.texts]
    sources: dict[str, None] = {}
    for figure in figures_of(page):
        if figure.question is not None:
            asked = figure.question
            days = w["notes_between"].format(first=asked.start, last=asked.end)
            where = " and ".join(asked.where)
            member = f"{asked.dimension} = {asked.member}" if asked.dimension else ""
            parts = [asked.metric, days, member, where]
            sources[", ".join(part for part in parts if part)] = None
        elif figure.origin:
            sources[_PART.sub(r"\1", figure.origin)] = None
    if sources:
        told.append(f"{w['notes_sources']}{_colon(pack.lang)}".rstrip())
        told += [f"- {source}" for source in list(sources)[:_MOST_SOURCES]]
        if len(sources) > _MOST_SOURCES:
            told.append(f"- … (+{len(sources) - _MOST_SOURCES})")
    told.append(w["notes_charts"])
    return "\n".join(told)


def _colon(lang: str) -> str:
    return "\N{NO-BREAK SPACE}: " if lang == "fr" else ": "
