"""What stands on a slide at places in millimetres of the pack's page: texts and plain areas.

Colours of text and series are those of the template's theme, so that another template changes
them; only the colours of a state are fixed, since they mean something. Fonts are the theme's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pptx.dml.color import RGBColor
from pptx.enum.dml import MSO_THEME_COLOR
from pptx.enum.lang import MSO_LANGUAGE_ID
from pptx.enum.shapes import MSO_SHAPE
from pptx.enum.text import MSO_ANCHOR, MSO_AUTO_SIZE, PP_ALIGN
from pptx.oxml import parse_xml
from pptx.oxml.ns import qn
from pptx.util import Emu, Pt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pptx.shapes.base import BaseShape
    from pptx.slide import Slide
    from pptx.text.text import TextFrame

Colour = Literal[
    "ink", "muted", "accent", "rule", "sunk", "paper", "calm", "rise", "fall", "ok", "near",
    "warn", "bad", "heat-0", "heat-1", "heat-2", "heat-3", "heat-4", "series-2", "series-3",
    "series-4",
]  # fmt: skip
Align = Literal["left", "right", "center"]
LEFT, WIDTH, TOP, FOOT = 14.0, 269.0, 27.0, 205.0  # of the pack's page, in millimetres
LINE = 1.25  # height of a line, of the size of its letters
MILLIMETRES = 25.4 / 72  # of a point
_EMU = 36_000  # of a millimetre
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_THEME = {
    "ink": MSO_THEME_COLOR.TEXT_1, "muted": MSO_THEME_COLOR.TEXT_2,
    "paper": MSO_THEME_COLOR.BACKGROUND_1, "sunk": MSO_THEME_COLOR.BACKGROUND_2,
    "accent": MSO_THEME_COLOR.ACCENT_1, "series-2": MSO_THEME_COLOR.ACCENT_2,
    "series-3": MSO_THEME_COLOR.ACCENT_3, "series-4": MSO_THEME_COLOR.ACCENT_4,
}  # fmt: skip
_FIXED = {
    "rule": "D8DEE3", "calm": "9DB2BF", "ok": "1D7448", "near": "86680A", "warn": "B4500B",
    "bad": "A8201A", "rise": "8FC1AD", "fall": "E6A57E", "heat-0": "EEF2F5", "heat-1": "F5F1E6",
    "heat-2": "F6DBA9", "heat-3": "D97B3F", "heat-4": "9C2F1C",
}  # fmt: skip
_LANGUAGES = {"en": MSO_LANGUAGE_ID.ENGLISH_UK, "fr": MSO_LANGUAGE_ID.FRENCH}
_ALIGN = {"left": PP_ALIGN.LEFT, "right": PP_ALIGN.RIGHT, "center": PP_ALIGN.CENTER}
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
_DECORATIVE = (
    f'<a:extLst xmlns:a="{_DRAWING}">'
    '<a:ext uri="{C183D7F6-B498-43B3-948B-1728B52AA6E4}"><adec:decorative'
    ' xmlns:adec="http://schemas.microsoft.com/office/drawing/2017/decorative" val="1"/>'
    "</a:ext></a:extLst>"
)


@dataclass(frozen=True, slots=True)
class Run:
    """Some words in one look; the size is in points of the pack's page."""

    text: str
    size: float = 8.0
    bold: bool = False
    colour: Colour = "ink"


@dataclass(frozen=True, slots=True)
class Line:
    """A paragraph: its runs, where it stands, the space after it in points, right tab stops."""

    runs: tuple[Run, ...]
    align: Align = "left"
    after: float = 0.0
    tabs: tuple[float, ...] = ()


def line(  # noqa: PLR0913 - a text and its look
    text: str, size: float = 8.0, *, bold: bool = False, colour: Colour = "ink",
    align: Align = "left", after: float = 0.0,
) -> Line:  # fmt: skip
    """A paragraph in one look."""
    return Line((Run(text, size, bold, colour),), align, after)


def paint(part: Any, colour: Colour) -> None:
    """Give the fill of a font, a line, a shape or a cell a colour."""
    if colour in _THEME:
        part.theme_color = _THEME[colour]
    else:
        part.rgb = RGBColor.from_string(_FIXED[colour])


def fill(format_: Any, colour: Colour) -> None:
    """Fill a shape, a cell, a series or a line with a colour."""
    format_.solid()
    paint(format_.fore_color, colour)


def plain(text: str) -> str:
    """A text without what XML cannot hold and no reader could see: a space stands for it."""
    return _CONTROL.sub(" ", text)


def describe(shape: BaseShape, text: str) -> None:
    """Give a shape what a screen reader says instead of it."""
    shape.element.xpath(".//p:cNvPr")[0].set("descr", plain(text))


class Canvas:
    """A slide whose places are given in millimetres of the pack's page."""

    def __init__(self, slide: Slide, lang: str, left: int, top: int, scale: float) -> None:
        """Stand over a slide.

        Args:
            slide: what is drawn on.
            lang: of its texts.
            left: where the left margin of the page is, in EMU.
            top: where the subtitle begins, in EMU.
            scale: how much larger than the page everything is.
        """
        self.slide, self.lang, self.scale = slide, lang, scale
        self._left, self._top = left, top

    def size(self, length: float) -> Emu:
        """A length."""
        return Emu(round(length * _EMU * self.scale))

    def place(self, x: float, y: float) -> tuple[Emu, Emu]:
        """A place of the page."""
        return (
            Emu(self._left + round((x - LEFT) * _EMU * self.scale)),
            Emu(self._top + round((y - TOP) * _EMU * self.scale)),
        )

    def area(self, x: float, y: float, width: float, height: float) -> tuple[Emu, Emu, Emu, Emu]:
        """The place and the size of an area, as python-pptx takes them."""
        return (*self.place(x, y), self.size(width), self.size(height))

    def points(self, size: float) -> Pt:
        """A size of letters, to half a point."""
        return Pt(round(size * self.scale * 10) / 10)

    def text(  # noqa: PLR0913 - where it stands, and what it says
        self, x: float, y: float, width: float, height: float, lines: Iterable[Line], *,
        anchor: Literal["top", "middle", "bottom"] = "top", name: str = "", shrinks: bool = False,
    ) -> BaseShape:  # fmt: skip
        """A box of text, which `write` fills."""
        box = self.slide.shapes.add_textbox(*self.area(x, y, width, height))
        if name:
            box.name = name
        frame = box.text_frame
        frame.vertical_anchor = {
            "top": MSO_ANCHOR.TOP, "middle": MSO_ANCHOR.MIDDLE, "bottom": MSO_ANCHOR.BOTTOM,
        }[anchor]  # fmt: skip
        self.write(frame, list(lines), shrinks=shrinks)
        return box

    def write(
        self,
        frame: TextFrame,
        lines: Sequence[Line],
        *,
        margin: bool = False,
        shrinks: bool = False,
    ) -> None:
        """Write paragraphs into a frame; without margins but where it has its own.

        Args:
            frame: that is empty.
            lines: a paragraph each.
            margin: whether the frame keeps its margins.
            shrinks: whether letters get smaller where a wider font stands in for ours.
        """
        if not margin:
            frame.margin_left = frame.margin_right = frame.margin_top = frame.margin_bottom = 0
        frame.word_wrap = True
        frame.auto_size = MSO_AUTO_SIZE.TEXT_TO_FIT_SHAPE if shrinks else MSO_AUTO_SIZE.NONE
        for index, one in enumerate(lines):
            paragraph = frame.paragraphs[0] if not index else frame.add_paragraph()
            paragraph.alignment = _ALIGN[one.align]
            paragraph.space_after = self.points(one.after)
            paragraph.space_before = Pt(0)
            paragraph.line_spacing = 1.0
            for run in one.runs:
                if not run.text:
                    continue
                written = paragraph.add_run()
                written.text = run.text
                font = written.font
                font.size, font.bold = self.points(run.size), run.bold
                font.language_id = _LANGUAGES[self.lang]
                paint(font.color, run.colour)
            if one.tabs:
                self._tabs(paragraph, one.tabs)
            # A paragraph without words is as high as its end says, else as the template's text.
            size = self.points(one.runs[-1].size).centipoints
            end = f'<a:endParaRPr xmlns:a="{_DRAWING}" sz="{size}"/>'
            paragraph._p.append(parse_xml(end))  # noqa: SLF001 - python-pptx does not reach it

    def _tabs(self, paragraph: Any, stops: Iterable[float]) -> None:
        stops_xml = "".join(f'<a:tab pos="{self.size(stop)}" algn="r"/>' for stop in stops)
        listed = parse_xml(f'<a:tabLst xmlns:a="{_DRAWING}">{stops_xml}</a:tabLst>')
        # The order of children is fixed: stops come after spacing, before the defaults of runs.
        paragraph._p.get_or_add_pPr().append(listed)  # noqa: SLF001 - python-pptx has no tab stops

    def rect(  # noqa: PLR0913, PLR0917 - where it stands, and how it looks
        self, x: float, y: float, width: float, height: float, colour: Colour, name: str = ""
    ) -> BaseShape:
        """A plain area, which says nothing to a screen reader."""
        shape = self.slide.shapes.add_shape(
            MSO_SHAPE.RECTANGLE, *self.area(x, y, max(width, 0.05), max(height, 0.05))
        )
        self.plain(shape, name)
        fill(shape.fill, colour)
        shape.line.fill.background()
        return shape

    @staticmethod
    def plain(shape: BaseShape, name: str = "") -> None:
        """Take the theme's effects off a shape, and mark it as decoration."""
        style = shape.element.find(qn("p:style"))
        if style is not None:
            shape.element.remove(style)
        if name:
            shape.name = name
        shape.element.xpath(".//p:cNvPr")[0].append(parse_xml(_DECORATIVE))
