"""A pack as one HTML file that needs nothing else: fonts, drawings and styles are inside."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from cadran import shell
from cadran.charts.still import still
from cadran.reports.pack import COLUMNS, rows_of

if TYPE_CHECKING:
    from jinja2 import Environment

    from cadran.charts.picture import Picture
    from cadran.reports.pack import Block, Pack

_HOME = Path(__file__).parent
_POINTS = 72 / 25.4  # of a millimetre
_COLUMN, GUTTER = 17.8333, 5.0  # millimetres
SIGNS = {"ok": "●", "near": "◆", "warn": "▲", "bad": "■", "": ""}
_FONTS = (
    ("Inter", 400, "Inter-Regular.woff2"),
    ("Inter", 600, "Inter-SemiBold.woff2"),
    ("Inter Display", 600, "InterDisplay-SemiBold.woff2"),
)


def html(pack: Pack, *, for_screen: bool = True) -> str:
    """The pack as a page that stands alone; the same pack gives the same bytes.

    Args:
        pack: the document.
        for_screen: whether it is read on screens too, small ones among them, or on paper alone.
    """
    files = ("pack.css", "screen.css") if for_screen else ("pack.css",)
    css = "".join((_HOME / "templates" / file).read_text(encoding="utf-8") for file in files)
    return _templates().get_template("pack.html").render(
        pack=pack, css=css,
        fonts=_fonts(), signs=SIGNS, rows_of=rows_of, kind=_kind, width=width, draw=_draw,
    )  # fmt: skip


def width(span: int) -> float:
    """The width of so many columns, in millimetres."""
    return round(span * _COLUMN + (span - 1) * GUTTER - 0.05, 2) if span < COLUMNS else 269.0


def _kind(block: Block) -> str:
    return type(block).__name__.lower()


def _draw(picture: Picture, across: float, high: float = 0) -> Markup:
    drawn = still(picture, width=across * _POINTS, height=high * _POINTS if high else None)
    return Markup(drawn)  # noqa: S704 - the writer of pictures escapes what it is given


@cache
def _templates() -> Environment:
    return shell.environment(_HOME / "templates")


@cache
def _fonts() -> str:
    rules = []
    for family, weight, file in _FONTS:
        content = base64.b64encode((_HOME / "fonts" / file).read_bytes()).decode("ascii")
        rules.append(
            f'@font-face{{font-family:"{family}";font-weight:{weight};'
            f'src:url(data:font/woff2;base64,{content}) format("woff2")}}'
        )
    return "\n".join(rules)
