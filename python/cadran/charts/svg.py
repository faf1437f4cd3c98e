"""SVG that stands by itself: colours and fonts as attributes, and how wide a text will be.

One unit is one point. There is no style sheet, script, link or outside font, so that a page, a
mail, a notebook and a PDF (WeasyPrint does not reach inside an SVG with CSS) show the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cadran.charts.picture import Point, Shape

Theme = Literal["light", "dark"]
Anchor = Literal["start", "middle", "end"]
LIGHT: Mapping[str, str] = {
    "ink": "#17212b", "muted": "#55616d", "paper": "#ffffff", "sunk": "#f3f5f7",
    "rule": "#e1e6ea", "gridline": "#e9edf0", "ok": "#1c6b45", "near": "#8a5a00", "bad": "#a8321f",
    "blue": "#0b5a8a", "orange": "#b4530a", "teal": "#1f6f61", "purple": "#7b4a8c",
    "ochre": "#7d6608", "grey": "#7c8893", "heat-0": "#eef2f5", "heat-1": "#f5f1e6",
    "heat-2": "#f6dba9", "heat-3": "#d97b3f", "heat-4": "#9c2f1c", "heat-ink": "#17212b",
    "heat-mid": "#17212b", "heat-last": "#ffffff",
}  # fmt: skip
DARK: Mapping[str, str] = {
    "ink": "#e8edf2", "muted": "#a0adba", "paper": "#131a22", "sunk": "#19222c",
    "rule": "#25303b", "gridline": "#202a34", "ok": "#63c997", "near": "#e0b252", "bad": "#ff9a86",
    "blue": "#5fb0e5", "orange": "#f0a35e", "teal": "#5cc2ad", "purple": "#c193d6",
    "ochre": "#cdb45a", "grey": "#8995a1", "heat-0": "#1b2530", "heat-1": "#262a2b",
    "heat-2": "#51401f", "heat-3": "#cc7740", "heat-4": "#e98a6b", "heat-ink": "#e8edf2",
    "heat-mid": "#17212b", "heat-last": "#17212b",
}  # fmt: skip
PALETTES: Mapping[Theme, Mapping[str, str]] = {"light": LIGHT, "dark": DARK}
FONT = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
SMALL, TEXT = 8.0, 9.0

# Advance widths of Inter Regular in hundredths of an em, to five; what is not listed is 65.
_WIDTHS = {
    20: "\"'’‘\u202f\u2009", 25: "Iijlîï", 30: " !,.:;·\u00a0", 35: "()/[\\]frt{|}",  # noqa: RUF001
    40: "“”", 45: "-1^_°", 50: "*?`s–", 55: "7JLackvxyzàâäçÿ«»",  # noqa: RUF001 - typographic
    60: "025689EFZbdeghnopquéèêëôöùûüÉÈÊ", 70: "ADVÀÂ", 75: "CGHNOQUÇÔÙÛ", 80: "w%…", 85: "m",
    90: "Mæ■●○", 95: "@WŒ→←", 100: "œ—▲▼◆",
}  # fmt: skip
_WIDTH = {letter: width / 100 for width, letters in _WIDTHS.items() for letter in letters}
_OTHER, _BOLD, _FALLBACK = 0.65, 1.06, 1.04  # the fonts that may stand in are a little wider
_DASHES = {"solid": "", "dashed": "4 3", "dotted": "1.5 2.5"}
_CROSS = 0.36  # from the middle of a letter to its foot, of its size


def text_width(text: str, size: float = TEXT, *, bold: bool = False) -> float:
    """How wide a text is in Inter, with some room for the fonts that may stand in; in points."""
    ems = sum(_WIDTH.get(letter, _OTHER) for letter in text)
    return ems * size * _FALLBACK * (_BOLD if bold else 1.0)


def cut(text: str, room: float, size: float = TEXT, *, bold: bool = False) -> str:
    """The text, or as much of it as has room, with an ellipsis."""
    if text_width(text, size, bold=bold) <= room:
        return text
    while text and text_width(text + "…", size, bold=bold) > room:
        text = text[:-1]
    return text.rstrip() + "…"


def wrap(text: str, room: float, size: float = TEXT, *, most: int = 2) -> list[str]:
    """The text in at most so many lines; what has no room on the last is cut off there."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) > room and len(lines) < most:
            lines.append(word)
        else:
            lines[-1:] = [longer]
    return [cut(line, room, size) for line in lines]


@dataclass(slots=True)
class Canvas:
    """An SVG in the making.

    Attributes:
        colours: of each tone; values may be anything that a `fill` takes.
        parts: the elements so far, in the order in which they are painted.
    """

    colours: Mapping[str, str]
    parts: list[str] = field(default_factory=list)

    def text(  # noqa: PLR0913 - what a text is
        self,
        x: float,
        y: float,
        text: str,
        tone: str = "muted",
        *,
        size: float = TEXT,
        anchor: Anchor = "start",
        bold: bool = False,
    ) -> None:
        """A line of text, `y` at its middle."""
        if not text:
            return
        anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
        weight = ' font-weight="600"' if bold else ""
        self.parts.append(
            f'<text x="{_n(x)}" y="{_n(y + size * _CROSS)}" font-size="{_n(size)}"'
            f'{anchored}{weight} fill="{self.colours[tone]}">{escape(text, quote=False)}</text>'
        )

    def rect(  # noqa: PLR0913 - what a rectangle is
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        tone: str,
        *,
        opacity: float = 1,
        radius: float = 0,
        edge: str = "",
        title: str = "",
    ) -> None:
        """A filled rectangle, with an edge in the tone `edge`."""
        soft = f' fill-opacity="{_n(opacity)}"' if opacity < 1 else ""
        rounded = f' rx="{_n(radius)}"' if radius else ""
        line = f' stroke="{self.colours[edge]}" stroke-width="0.75"' if edge else ""
        self._add(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"{rounded}'
            f' fill="{self.colours[tone]}"{soft}{line}',
            "rect",
            title,
        )

    def line(
        self,
        points: Iterable[Point],
        tone: str,
        *,
        width: float = 1.5,
        style: str = "solid",
        curved: bool = False,
    ) -> None:
        """A line through points; a curved one leaves and reaches each level."""
        dash = f' stroke-dasharray="{_DASHES[style]}"' if _DASHES[style] else ""
        self.parts.append(
            f'<path d="{_curved(points) if curved else _path(points)}" fill="none"'
            f' stroke="{self.colours[tone]}" stroke-width="{_n(width)}"'
            f' stroke-linejoin="round" stroke-linecap="{"butt" if dash else "round"}"{dash}/>'
        )

    def area(self, points: Iterable[Point], tone: str, *, opacity: float = 0.1) -> None:
        """A tinted area inside points."""
        self.parts.append(
            f'<path d="{_path(points)}Z" fill="{self.colours[tone]}" fill-opacity="{_n(opacity)}"/>'
        )

    def sign(  # noqa: PLR0913 - what a sign is
        self, x: float, y: float, shape: Shape, tone: str, *, size: float = 3.25, title: str = ""
    ) -> None:
        """A mark at a point, with a thin edge of paper around it."""
        fill, edge = self.colours["paper" if shape == "ring" else tone], self.colours["paper"]
        if shape == "ring":
            edge = self.colours[tone]
        drawn = f' fill="{fill}" stroke="{edge}" stroke-width="{1.5 if shape == "ring" else 1}"'
        if shape in {"disc", "ring"}:
            self._add(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(size)}"{drawn}', "circle", title)
            return
        corners = {
            "triangle": ((0.0, -1.1), (1.1, 0.9), (-1.1, 0.9)),
            "diamond": ((0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)),
            "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
        }[shape]
        around = _path((x + dx * size, y + dy * size) for dx, dy in corners)
        self._add(f'<path d="{around}Z"{drawn}', "path", title)

    def group(self, x: float, inner: Canvas, y: float = 0) -> None:
        """Another drawing inside this one, moved to the right and down."""
        self.parts.append(f'<g transform="translate({_n(x)} {_n(y)})">{"".join(inner.parts)}</g>')

    def svg(self, width: float, height: float, title: str, scale: float = 1.0) -> str:
        """The whole, in points times `scale`.

        Without a title it is decoration, which a screen reader passes over.
        """
        spoken = (
            f' role="img"><title>{escape(title, quote=False)}</title>'
            if title
            else ' aria-hidden="true">'
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width * scale)}pt"'
            f' height="{_n(height * scale)}pt" viewBox="0 0 {_n(width)} {_n(height)}"'
            f' font-family="{FONT}"{spoken}{"".join(self.parts)}</svg>'
        )

    def _add(self, opened: str, name: str, title: str) -> None:
        inside = f"><title>{escape(title, quote=False)}</title></{name}>" if title else "/>"
        self.parts.append(opened + inside)


def _path(points: Iterable[Point]) -> str:
    return "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points)


def _curved(points: Iterable[Point]) -> str:
    drawn, before = "", None
    for x, y in points:
        if before is None:
            drawn = f"M{_n(x)} {_n(y)}"
        else:
            middle = (before[0] + x) / 2
            drawn += f"C{_n(middle)} {_n(before[1])} {_n(middle)} {_n(y)} {_n(x)} {_n(y)}"
        before = (x, y)
    return drawn


def _n(number: float) -> str:
    """A number as short as it can be; the same on every machine."""
    # Adding zero makes -0 a plain one.
    return f"{round(number, 2) + 0.0:.2f}".rstrip("0").rstrip(".")
