"""A chart as a picture, without a browser and without a network."""

from __future__ import annotations

import hashlib
import html
import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import altair as alt

_WITHOUT = "charts need vl-convert-python: install it with `pip install cadran[charts]`."


def svg(chart: alt.TopLevelMixin, title: str = "") -> str:
    """The chart as an SVG element that can stand in a page.

    Args:
        chart: any chart of this package.
        title: what a screen reader says; without it the picture is decoration and is passed over.

    Raises:
        ImportError: vl-convert is not installed.
    """
    drawn = str(_vl_convert().vegalite_to_svg(_spec(chart)))
    # The picture is one image to a reader; its parts are not to be announced one by one.
    drawn = re.sub(r' (role|aria-roledescription|aria-hidden|aria-label)="[^"]*"', "", drawn)
    # Every drawing numbers its clip paths from 0; in one page they would cut each other.
    mark = hashlib.sha256(drawn.encode()).hexdigest()[:8]
    drawn = re.sub(r'\bid="([^"]+)"', rf'id="c{mark}-\1"', drawn)
    drawn = re.sub(r"url\(#([^)]+)\)", rf"url(#c{mark}-\1)", drawn)
    spoken = f'role="img" aria-label="{html.escape(title)}"' if title else 'aria-hidden="true"'
    return drawn.replace("<svg ", f'<svg {spoken} focusable="false" ', 1)


def png(chart: alt.TopLevelMixin, scale: float = 2) -> bytes:
    """The chart as a PNG, twice as fine as its size in pixels by default.

    Raises:
        ImportError: vl-convert is not installed.
    """
    return bytes(_vl_convert().vegalite_to_png(_spec(chart), scale=scale))


@contextmanager
def quick() -> Iterator[None]:
    """Draw many charts without Altair's check of every argument, which costs more than drawing."""
    from altair.utils.schemapi import debug_mode

    with debug_mode(False):  # noqa: FBT003 - Altair's own signature
        yield


def _spec(chart: alt.TopLevelMixin) -> str:
    return json.dumps(chart.to_dict(validate=False))


def _vl_convert() -> Any:
    try:
        import vl_convert
    except ImportError:
        raise ImportError(_WITHOUT) from None
    return vl_convert
