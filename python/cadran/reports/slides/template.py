"""The template of slides: the project's own, or one that its user brings.

Of a template its slide size, theme, master and one layout are used: the layout named `Cadran`, or
else the first one that has a title alone. Content stands in the layout's body placeholder, where
there is one, or below its title.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pptx
from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.enum.text import MSO_ANCHOR
from pptx.exc import PackageNotFoundError
from pptx.oxml.ns import qn
from pptx.util import Mm, Pt

from cadran.errors import ReportError
from cadran.reports.slides.canvas import FOOT, LEFT, TOP, WIDTH

if TYPE_CHECKING:
    from pptx.presentation import Presentation
    from pptx.slide import SlideLayout

LAYOUT = "Cadran"
_EMU = 36_000
_MOST_BYTES = 200_000_000  # of a template, unpacked
_TITLES = {PP_PLACEHOLDER.TITLE, PP_PLACEHOLDER.CENTER_TITLE}
_BODIES = {PP_PLACEHOLDER.BODY, PP_PLACEHOLDER.OBJECT}
_EDGE = 0.04  # of the slide's height, below the content of a layout without a body
# Arial's classification, by which a reader without Inter takes a font like it.
_FONT = '<a:latin typeface="{}" panose="020B0604020202020204"/>'
_COLOURS = {
    "dk1": "14202B", "lt1": "FFFFFF", "dk2": "5A6773", "lt2": "F4F6F8", "accent1": "0B4F6C",
    "accent2": "B4500B", "accent3": "3B8269", "accent4": "86680A", "accent5": "7B4A8C",
    "accent6": "9DB2BF", "hlink": "0B4F6C", "folHlink": "5A6773",
}  # fmt: skip


class Ground(NamedTuple):
    """What slides are made on.

    Attributes:
        presentation: without slides.
        layout: of every slide.
        left: where content begins, in EMU.
        top: where it begins, in EMU.
        scale: how much larger than the pack's page it is.
        is_own: whether it is the project's own, whose pages have a head as in print.
    """

    presentation: Presentation
    layout: SlideLayout
    left: int
    top: int
    scale: float
    is_own: bool


def ground(template: Path | None = None) -> Ground:
    """What slides are made on.

    Args:
        template: a PPTX file; by default the project's own look.

    Raises:
        ReportError: the file is no presentation, or no layout of it has what slides need.
    """
    if template is None:
        presentation = _own()
        return Ground(
            presentation, presentation.slide_layouts[0], Mm(LEFT), Mm(TOP), 1.0, is_own=True
        )
    try:
        _check_size(template)
        presentation = pptx.Presentation(str(template))
    except (PackageNotFoundError, zipfile.BadZipFile, KeyError, ValueError, OSError, SyntaxError):
        raise ReportError(
            f"{template} cannot be read as a presentation: a template is a .pptx file."
        ) from None
    _without_slides(presentation)
    layout = _layout(presentation, template)
    left, top, width, height = _room(presentation, layout, template)
    scale = min(width / WIDTH, height / (FOOT - TOP)) / _EMU
    return Ground(
        presentation, layout, left + round((width - WIDTH * _EMU * scale) / 2), top, scale,
        is_own=False,
    )  # fmt: skip


def _check_size(template: Path) -> None:
    """Refuse an archive before it fills the memory; what it says of sizes, reading holds it to."""
    with zipfile.ZipFile(template) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _MOST_BYTES:
        raise ReportError(
            f"{template} holds {size / 1e6:,.0f} MB when unpacked; a template has at most"
            f" {_MOST_BYTES / 1e6:,.0f} MB: take large pictures and films out."
        )


def _layout(presentation: Presentation, template: Path) -> SlideLayout:
    layouts = list(presentation.slide_layouts)
    named = [one for one in layouts if one.name == LAYOUT]
    chosen = named or [one for one in layouts if one.element.get("type") == "titleOnly"]
    if not chosen:
        names = ", ".join(f"'{one.name}'" for one in layouts) or "none"
        raise ReportError(
            f"{template} has no layout named '{LAYOUT}' and none with a title alone; it has"
            f" {names}. Name the layout that slides are to have '{LAYOUT}'."
        )
    layout = chosen[0]
    if not any(one.placeholder_format.type in _TITLES for one in layout.placeholders):
        raise ReportError(
            f"The layout '{layout.name}' of {template} has no placeholder for the title: add one."
        )
    return layout


def _room(
    presentation: Presentation, layout: SlideLayout, template: Path
) -> tuple[int, int, int, int]:
    """The left, top, width and height of the content, in EMU."""
    body = next((p for p in layout.placeholders if p.placeholder_format.type in _BODIES), None)
    if body is not None:
        left, top, width, height = body.left, body.top, body.width, body.height
    else:
        title = next(p for p in layout.placeholders if p.placeholder_format.type in _TITLES)
        high = presentation.slide_height or 0
        left, top, width = title.left, title.top + title.height, title.width
        height = round(high * (1 - _EDGE)) - top
    if width <= 0 or height <= 0:
        raise ReportError(f"The layout '{layout.name}' of {template} has no room for content.")
    return left, top, width, height


def _without_slides(presentation: Presentation) -> None:
    """Drop the slides of a template: they show how it looks and are no part of a pack."""
    listed = presentation.slides.element
    for entry in list(listed):
        presentation.part.drop_rel(entry.get(qn("r:id")))
        listed.remove(entry)


def _own() -> Presentation:
    """An empty presentation in the look of the pack: A4 landscape, Inter, its colours."""
    presentation = pptx.Presentation(io.BytesIO(_themed()))
    presentation.slide_width, presentation.slide_height = Mm(297), Mm(210)
    layouts = presentation.slide_layouts
    layout = next(one for one in layouts if one.element.get("type") == "titleOnly")
    for other in list(layouts):
        if other is not layout and other.element is not layout.element:
            layouts.remove(other)
    layout.name = LAYOUT
    for owner in (layout, presentation.slide_master):
        for shape in list(owner.placeholders):
            if shape.placeholder_format.type not in _TITLES | _BODIES:
                shape.element.getparent().remove(shape.element)
    for owner in (layout, presentation.slide_master):
        for shape in owner.placeholders:
            if shape.placeholder_format.type in _TITLES:
                shape.left, shape.top, shape.width, shape.height = Mm(14), Mm(13.5), Mm(269), Mm(13)
                frame = shape.text_frame
                frame.vertical_anchor = MSO_ANCHOR.TOP
                frame.margin_left = frame.margin_right = frame.margin_top = 0
                frame.margin_bottom = 0
            else:
                shape.left, shape.top, shape.width, shape.height = Mm(14), Mm(36), Mm(269), Mm(158)
    style = presentation.slide_master.element.xpath("p:txStyles/p:titleStyle/a:lvl1pPr")[0]
    style.set("algn", "l")
    letters = style.find(qn("a:defRPr"))
    letters.set("sz", str(Pt(20).centipoints))
    letters.set("b", "1")
    return presentation


def _themed() -> bytes:
    """python-pptx's empty presentation with our fonts and colours, without its preview."""
    import re

    source = Path(pptx.__file__).parent / "templates" / "default.pptx"
    written = io.BytesIO()
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(written, "w") as out:
        for entry in archive.namelist():
            content = archive.read(entry)
            if entry == "docProps/thumbnail.jpeg":
                continue
            if entry == "_rels/.rels":
                content = re.sub(rb"<Relationship [^>]*thumbnail[^>]*/>", b"", content)
            if re.fullmatch(r"ppt/theme/theme\d+\.xml", entry):
                text = content.decode()
                for part, family in (("majorFont", "Inter Display"), ("minorFont", "Inter")):
                    text = re.sub(
                        rf"(<a:{part}>\s*)<a:latin [^>]*/>", rf"\1{_FONT.format(family)}", text
                    )
                for name, colour in _COLOURS.items():
                    text = re.sub(
                        rf"(<a:{name}>).*?(</a:{name}>)", rf'\1<a:srgbClr val="{colour}"/>\2', text,
                        flags=re.DOTALL,
                    )  # fmt: skip
                content = text.encode()
            out.writestr(entry, content)
    return written.getvalue()
