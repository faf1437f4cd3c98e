"""The overview: strategic KPIs as tiles, what changed, service levels, what is open."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cadran.charts import plots
from cadran.charts.plots import Series
from cadran.core.targets import Status
from cadran.formats import periods
from cadran.formats.numbers import CURRENCIES, SYMBOLS
from cadran.insight import service_levels
from cadran.insight.readings import SHOWN
from cadran.web import marks
from cadran.web.parts import (
    break_marks,
    breakdown,
    controls,
    forecast_of,
    outlook,
    pack_links,
    tile_plot,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cadran.charts.picture import Plot
    from cadran.insight.readings import Reader, Reading
    from cadran.insight.wording import Words

_SENTENCES = 5
_MOVED = 0.01  # of the base, from which on a change is told
_MEMBERS = 6


@dataclass(frozen=True, slots=True)
class Course:
    """A chart with its title, what has to be said of it, and what its marks mean."""

    title: str
    sub: str
    plot: Plot
    marks: str


def overview(reader: Reader, w: Words) -> dict[str, Any]:
    """What the overview holds."""
    cards = reader.cards("strategic") or reader.cards()[:12]
    readings = with_outlooks(reader, reader.readings(cards))
    window = reader.window(cards)
    standing = service_levels.standing(reader, w, window)
    focused = focus(readings)
    until = max(filter(None, (reader.through(card.name) for card in cards)), default=None)
    return {
        "title": w("overview"),
        "window": window,
        "packs": pack_links(reader, window),
        "until": until,
        "page": controls(reader, w, "/board", until),
        "tiles": [(one, tile_plot(one)) for one in readings],
        "levels": standing.levels[:8],
        "levels_sub": standing.sub,
        "heat": service_levels.heat(reader, w, standing.levels),
        "running": [
            row for row in service_levels.incidents(reader) if row["restored_at"] is None
        ],
        "sentences": sentences(readings, w),
        "focus": focused,
        "course": course_by(reader, focused, w) if focused else None,
        "breakdown": breakdown(reader, focused, w) if focused else None,
    }  # fmt: skip


def with_outlooks(reader: Reader, readings: Sequence[Reading]) -> list[Reading]:
    """Readings, those of running periods with what is to be expected where they have a target."""
    waiting = [one for one in readings if one.target and one.status is Status.NONE]
    reader = reader.together(one.card for one in waiting)
    ahead = {one.card.name: forecast_of(reader, one) for one in waiting}
    return [
        replace(one, outlook=outlook(one, expected), expected=expected.value)
        if (expected := ahead.get(one.card.name))
        else one
        for one in readings
    ]


def sentences(readings: Sequence[Reading], w: Words) -> list[str]:
    """What changed, the largest changes first, each in one sentence with its exact amount."""
    moved = []
    for one in readings:
        change = one.change
        if change is None or not one.base:
            continue
        size = abs(float(change) / float(one.base))
        if size < _MOVED and one.card.unit != "%":
            continue
        moved.append((size, one))
    moved.sort(key=lambda entry: -entry[0])
    return [_sentence(one, w) for _, one in moved[:_SENTENCES]]


def _sentence(one: Reading, w: Words) -> str:
    card, days = one.card, w.days(one.window.base_first, one.window.base_last)
    if card.unit == "%":
        return w(
            "changed_rate_up", label=w.label(card), base=w.value(one.base, card),
            value=w.value(one.value, card), change=w.change(one.value, one.base, card),
        )  # fmt: skip
    key = "changed_up" if one.change > 0 else "changed_down"
    amount = w.amount(one.change, card)
    return w(
        key, label=w.label(card), amount=amount if w.lang == "fr" else amount.lstrip("+-"),
        change=w.change(one.value, one.base, card), days=days,
    )  # fmt: skip


def focus(readings: Sequence[Reading]) -> Reading | None:
    """The KPI that the charts of the overview are of: the first that is money, else the first."""
    shown = [one for one in readings if one.value is not None and one.card.dimensions]
    money = [one for one in shown if SYMBOLS.get(one.card.unit) in CURRENCIES]
    return next(iter(money or shown), None)


def course_by(reader: Reader, reading: Reading, w: Words) -> Course | None:
    """A KPI over thirteen periods by its first dimension, the largest members."""
    card, window = reading.card, reading.window
    by = next((n for n in card.dimensions if n not in reader.view.filters), "")
    if not by:
        return None
    first = periods.shifted(window.first, window.grain, 1 - SHOWN)
    last = window.last if window.is_running else periods.last_of(window.first, window.grain)
    courses = reader.course(card, window.grain, first, last, by=by, where=reader.where_of(reading))
    largest = sorted(
        courses,
        key=lambda member: (-float(courses[member].get(window.first) or 0), str(member)),
    )[:_MEMBERS]
    title = w("by", label=w.label(card), dimension=w.names(card.dimensions)[by].lower())
    happened = marks.lane(reader, w, first, last, window.grain, severities=marks.GRAVE)
    plot = plots.trend(
        [Series(w.member(member), courses[member]) for member in largest],
        card,
        window.grain,
        title=title,
        lang=w.lang,
        head=w("period_head"),
        running=window.first if window.is_running else None,
        breaks=break_marks(reading, w),
        events=happened.marks,
        height=340,
    )
    sub = w("thirteen")
    if window.is_running:
        sub += " " + w("running_dotted", day=w.day(window.last))
    return Course(title, sub, plot, happened.legend)
