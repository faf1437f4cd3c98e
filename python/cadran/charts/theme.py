"""How every chart looks: one palette, one type scale, numbers and dates in two languages."""

from __future__ import annotations

import datetime as dt
import hashlib
import html
import json
import re
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import altair as alt

from cadran.errors import QueryError
from cadran.formats.numbers import CURRENCIES, SYMBOLS, THIN, WIDE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

    from cadran.core.project.cards import Card


# Blue and orange stay apart for every kind of colour blindness; text keeps 4.5:1 on white.
INK, MUTED, FAINT, PAPER = "#17212b", "#5a6672", "#eef1f4", "#ffffff"
BLUE, ORANGE, TEAL, PURPLE, OCHRE, GREY = (
    "#0b5a8a", "#b4530a", "#2b7a6b", "#7b4a8c", "#7d6608", "#6b7681",
)  # fmt: skip
SERIES = (BLUE, ORANGE, TEAL, PURPLE, OCHRE, GREY)
FONT = "Inter, 'Segoe UI', 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"
SMALL, TEXT = 11, 12

_NUMBERS = {
    "en": {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["€", ""]},
    "fr": {
        "decimal": ",",
        "thousands": THIN,
        "grouping": [3],
        "currency": ["", f"{WIDE}€"],
        "percent": f"{THIN}%",
    },
}
_DAYS = {
    "en": "Sunday Monday Tuesday Wednesday Thursday Friday Saturday",
    "fr": "dimanche lundi mardi mercredi jeudi vendredi samedi",
}
_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}
_SHORT = {
    "en": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "fr": "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
}


def chart(rows: list[dict[str, Any]]) -> Any:
    """A chart to be, over these rows. Altair's own builders are typed loosely."""
    # A tuple, since Altair copies lists row by row at each step.
    return alt.Chart(alt.Data(values=tuple(rows)))  # type: ignore[no-untyped-call]


def styled(chart: Any, lang: str = "en") -> alt.LayerChart:
    """The chart with the theme and the language's formats in it, so that it can travel alone."""
    axis = {
        "labelFont": FONT, "labelFontSize": TEXT, "labelColor": MUTED, "labelPadding": 6,
        "titleFont": FONT, "titleFontSize": TEXT, "titleColor": MUTED, "titleFontWeight": "normal",
        "domain": False, "ticks": False, "gridColor": FAINT, "gridWidth": 1,
    }  # fmt: skip
    text = {"font": FONT, "fontSize": TEXT, "color": INK}
    themed: alt.LayerChart = chart.configure(
        background=PAPER, font=FONT, aria=False, locale=_locale(lang), view={"stroke": None},
        axis=axis, text=text,
    )  # fmt: skip
    return themed


def value_labels(card: Card, top: float, lang: str = "en") -> str:
    """The Vega expression of a KPI's axis labels, short enough to be read at a glance.

    Args:
        card: tells the unit; a `%` is stored as a fraction.
        top: the greatest value on the axis; large ones get a `k` or `M`.
        lang: where the currency stands: €1.2M, 1,2 M€.
    """
    large, small = 10_000, 0.02
    if card.unit == "%":
        form = ".3~%" if card.decimals > 2 or top < small else "~%"  # noqa: PLR2004 - decimals
        return f"format(datum.value, '{form}')"
    number = f"format(datum.value, '{'~s' if top >= large else ',~r'}')"
    symbol = SYMBOLS.get(card.unit, card.unit)
    if symbol not in CURRENCIES:
        return number
    if lang == "fr":
        return f"replace({number}, /([kMG]?)$/, '{WIDE}$1{symbol}')"
    return f"(datum.value < 0 ? '-' : '') + '{symbol}' + replace({number}, /^[-−]/, '')"  # noqa: RUF001 - d3 writes a minus sign


def time_format(grain: str) -> str:
    """The d3 format of the time axis; the language is in the locale."""
    return {"year": "%Y", "day": "%d %b", "week": "%d %b", "minute": "%H:%M", "hour": "%H:%M"}.get(
        grain, "%b %Y"
    )


def _locale(lang: str) -> dict[str, Any]:
    days = _DAYS[lang].split()
    return {
        "number": _NUMBERS[lang],
        "time": {
            "dateTime": "%A %e %B %Y %H:%M",
            "date": "%d/%m/%Y" if lang == "fr" else "%Y-%m-%d",
            "time": "%H:%M:%S",
            "periods": ["AM", "PM"],
            "days": days,
            "shortDays": [day[:3] for day in days],
            "months": _MONTHS[lang].split(),
            "shortMonths": _SHORT[lang].split(),
        },
    }


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


def plain(data: pa.Table | Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of an Arrow table, of a result or of dictionaries, as JSON types.

    Decimals become floats, which is fine for a height on paper; printed figures are not made here.
    """
    if hasattr(data, "to_arrow"):
        data = data.to_arrow()
    rows = data.to_pylist() if hasattr(data, "to_pylist") else data
    return [{name: _json(value) for name, value in row.items()} for row in rows]


def time_column(rows: list[dict[str, Any]]) -> tuple[str, str]:
    """The column of periods and its grain.

    Raises:
        QueryError: no column is a period.
    """
    for name in rows[0] if rows else ():
        if name.startswith("metric_time__"):
            return name, name.removeprefix("metric_time__")
    raise QueryError("A line needs rows by period: group by metric_time__month, for instance.")


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, dt.date):
        # A bare date would be read as midnight UTC, and fall into the month before west of it.
        return f"{value.isoformat()}T00:00:00"
    return value
