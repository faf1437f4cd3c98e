"""The digest: what a board shows of a period, as a mail with pictures, and as text for chats.

Mail clients cut style sheets, scripts and SVG: the mail is made of tables with the styles on each
cell, its charts are PNG, and whatever a picture shows stands in words or in a table beside it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cadran.charts.still import png, still
from cadran.charts.svg import LIGHT
from cadran.errors import QueryError
from cadran.formats import periods
from cadran.insight import service_levels
from cadran.reliability.alerts.delivery import Letter, marked
from cadran.web import levels as level_pages
from cadran.web import overview
from cadran.web.parts import breakdown, tile_plot
from cadran.web.render import rendered

if TYPE_CHECKING:
    from cadran.insight.readings import Reader
    from cadran.insight.view import Window
    from cadran.insight.wording import Words

LAST = "last"  # the period before one that is not over
_MOST_LEVELS = 8
_CHART, _CHART_HEIGHT, _SPARK = 320.0, 190.0, 170.0  # points; they are stretched to the mail


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest in each of its forms.

    Attributes:
        title: its subject.
        html: the mail, whose pictures are named `cid:<name>`.
        text: the same in words.
        marked: the same as Markdown, for chats.
        pictures: PNG by name.
    """

    title: str
    html: str
    text: str
    marked: str
    pictures: dict[str, bytes]

    @property
    def letter(self) -> Letter:
        """What is sent."""
        return Letter(self.title, self.text, self.marked, self.html, self.pictures)

    @property
    def page(self) -> str:
        """The mail as a file that opens from disk, with the pictures in it."""
        html = self.html
        for name, content in self.pictures.items():
            data = base64.b64encode(content).decode()
            html = html.replace(f'"cid:{name}"', f'"data:image/png;base64,{data}"')
        return html


def last_period(reader: Reader) -> Reader:
    """The reader of the last period that is over."""
    window = reader.window(reader.cards())
    if window is None:
        return reader
    back = 1 if window.is_running else 0
    start = periods.shifted(window.first, window.grain, -back)
    return replace(reader, view=replace(reader.view, start=start))


def digest(reader: Reader, w: Words, *, name: str, address: str = "") -> Digest:
    """The digest of the period of a reader's view.

    Args:
        reader: reads as whoever the digest is for.
        w: its words.
        name: of the organisation.
        address: where the board is, such as `https://kpis.example.com`; links lead there. Without
            it there are none.

    Raises:
        QueryError: no KPI is left by the view, or there is no data.
        CadranError: as `Layer.query`.
    """
    cards = reader.cards("strategic") or reader.cards()[:12]
    window = reader.window(cards)
    if window is None:
        raise QueryError(
            "Nothing is to be told: no KPI that may be seen serves this objective and team, or"
            " there is no data yet."
        )
    _check_filters(reader)
    # Links lead to this period, also when they are followed in another one.
    reader = replace(reader, view=replace(reader.view, start=window.first))
    readings = overview.with_outlooks(reader, reader.readings(cards))
    if all(one.value is None for one in readings):
        raise QueryError(
            f"Nothing is to be told of {w.period(window.first, window.grain)}: no KPI that may be"
            " seen has a value."
        )
    focus = overview.focus(readings)
    course = overview.course_by(reader, focus, w) if focus else None
    parts = breakdown(reader, focus, w) if focus else None
    pictures = {
        f"{one.card.name}.png": png(still(tile_plot(one), width=_SPARK))
        for one in readings
        if one.value is not None
    }
    if course is not None:
        pictures["course.png"] = png(
            still(replace(course.plot, events=()), width=_CHART, height=_CHART_HEIGHT)
        )
    standing = service_levels.standing(reader, w, window)
    levels = standing.levels
    content: dict[str, Any] = {
        "title": _title(name, window, w),
        "name": name,
        "window": window,
        "until": max(filter(None, (reader.through(card.name) for card in cards)), default=None),
        "tiles": readings,
        "sentences": overview.sentences(readings, w),
        "focus": focus,
        "course": course,
        "breakdown": parts,
        "levels": levels[:_MOST_LEVELS],
        "levels_sub": standing.sub,
        "left_out": max(len(levels) - _MOST_LEVELS, 0),
        "contracts": level_pages.contracts(reader, w, _month(reader, window)) if levels else None,
        "running": [row for row in service_levels.incidents(reader) if row["restored_at"] is None],
        "pictures": pictures,
        "address": address.rstrip("/"),
        "view": reader.view,
        "colours": LIGHT,
    }  # fmt: skip
    return Digest(
        content["title"],
        rendered("digest.html", w, **content),
        rendered("digest.txt", w, marks=False, escaped=str, **content),
        rendered("digest.txt", w, marks=True, escaped=marked, **content),
        pictures,
    )


def _check_filters(reader: Reader) -> None:
    """Refuse a filter that no KPI takes: the whole would be sent as if it were a part."""
    known = {name for card in reader.source.kpis for name in card.dimensions}
    for name in reader.view.filters:
        if name not in known:
            raise QueryError(
                f"No KPI that may be seen has the dimension '{name}'; there are"
                f" {', '.join(sorted(known))}."
            )


def _title(name: str, window: Window, w: Words) -> str:
    return w("digest_title", name=name, period=w.period(window.first, window.grain))


def _month(reader: Reader, window: Window) -> Any:
    """The month whose contracts are told: that of the window's end."""
    return periods.start_of(min(window.last, reader.last_day()), "month")
