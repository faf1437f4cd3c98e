"""The page of one KPI: where it stands, how it came there, what it is made of, what it means."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from cadran.charts import plots
from cadran.charts.plots import Expected, Series
from cadran.core.semantics import tree
from cadran.errors import CadranError
from cadran.formats import periods
from cadran.insight.readings import ENDING, Reading
from cadran.insight.view import period_text
from cadran.web import marks, notes
from cadran.web.parts import (
    break_marks,
    breakdown,
    controls,
    forecast_of,
    objective_label,
    outlook,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from cadran.charts.picture import Plot
    from cadran.core.project.cards import Card
    from cadran.insight.forecast import Forecast
    from cadran.insight.readings import Reader
    from cadran.insight.view import Window
    from cadran.insight.wording import Words
    from cadran.web.marks import Lane

HISTORY = 25
_MOST_DIMENSIONS = 3
_MOST_MEMBERS = 8
_MOST_PUBLISHED = 6


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a dimension: its value, change and course."""

    name: str
    value: str
    change: str
    tone: str
    plot: Plot


@dataclass(frozen=True, slots=True)
class Split:
    """A KPI by the members of one dimension."""

    title: str
    members: list[Member]


@dataclass(frozen=True, slots=True)
class Published:
    """A period as it was published and as it is known today."""

    period: str
    published: str
    today: str
    difference: str


def kpi(reader: Reader, name: str, w: Words) -> dict[str, Any]:
    """What the page of a KPI holds.

    Raises:
        UnknownNameError: there is no such KPI, or not for whoever asks.
    """
    card = reader.card(name)
    reading = reader.readings([card], history=HISTORY)[0]
    window, where = reading.window, reader.where_of(reading)
    expected = forecast_of(reader, reading)
    happened = lane_of(reader, reading, w)
    return {
        "title": w.label(card),
        "card": card,
        "text": card.localized(w.lang),
        "reading": reading,
        "window": window,
        "until": reader.through(name),
        "page": controls(reader, w, f"/board/kpis/{name}", reader.through(name), of=[card]),
        "objective": objective_label(reader, card, w),
        "forecast": expected and _outlook(reading, expected, w),
        "comparisons": _comparisons(reader, reading),
        "trend": trend(reader, reading, w, expected, happened),
        "marks": happened.legend,
        "breakdown": breakdown(reader, reading, w),
        "splits": splits(reader, reading, w, where),
        "published": published(reader, reading, w),
        "links": _links(reader, card),
        "notes": notes.of_kpi(reader, w, name),
        "note_period": period_text(window.first, window.grain),
        "curl": _curl(card, window, reader.view.where),
        "downloads": _downloads(card, window, reader.view.where),
    }


def _comparisons(reader: Reader, reading: Reading) -> list[Reading]:
    """The reading against the period before and against the year before."""
    readings = [reading]
    if reading.value is not None:
        other = "year" if reader.view.compare == "previous" else "previous"
        readings.append(reader.compared(other).readings([reading.card], history=1)[0])
    return [one for one in readings if one.base is not None]


@dataclass(frozen=True, slots=True)
class Outlook:
    """A forecast in words."""

    day: dt.date
    value: str
    interval: str
    state: str
    tone: str


def _outlook(reading: Reading, expected: Forecast, w: Words) -> Outlook:
    card = reading.card
    state = outlook(reading, expected)
    return Outlook(
        expected.period.end,
        w.value(expected.value, card),
        w(
            "interval", low=w.value(expected.low, card), high=w.value(expected.high, card),
            share=w.share(expected.level),
        ),
        w(state) if state else "",
        {"likely": "ok", "open": "near", "unlikely": "bad"}.get(state, ""),
    )  # fmt: skip


def lane_of(reader: Reader, reading: Reading, w: Words) -> Lane:
    """What happened in the twenty-five periods of a KPI: of incidents, the grave ones."""
    window = reading.window
    first = min(reading.history, default=window.first)
    return marks.lane(
        reader, w, first, window.last, window.grain, severities=marks.GRAVE, kpi=reading.card.name
    )


def trend(
    reader: Reader,
    reading: Reading,
    w: Words,
    expected: Forecast | None = None,
    happened: Lane | None = None,
) -> Plot | None:
    """The KPI over twenty-five periods, with targets, breaks of definition and what happened."""
    card, window = reading.card, reading.window
    if not any(value is not None for value in reading.history.values()):
        return None
    starts = sorted(reading.history)
    goals: dict[dt.date, Any] = {}
    for start in starts:
        target = reader.target(card, window.grain, start)
        if target is not None:
            goals[start] = target.target
    series = [Series(w("achieved"), reading.history, filled=True)]
    if goals:
        series.append(Series(w("target").lower(), goals, "orange", "dotted", stepped=True))
    return plots.trend(
        series, card, window.grain, title=w.label(card), lang=w.lang, head=w("period_head"),
        running=window.first if window.is_running else None, breaks=break_marks(reading, w),
        events=() if happened is None else happened.marks, height=280,
        expected=None
        if expected is None
        else Expected(
            window.first, w("forecast_short"), expected.value, expected.low, expected.high
        ),
    )  # fmt: skip


def splits(reader: Reader, reading: Reading, w: Words, where: tuple[str, ...]) -> list[Split]:
    """The KPI by each of its first dimensions: small multiples of the largest members."""
    card = reading.card
    found = []
    free = [name for name in card.dimensions if name not in reader.view.filters]
    for dimension in free[:_MOST_DIMENSIONS] if reading.value is not None else ():
        try:
            split = _split(reader, reading, dimension, where, w)
        except ENDING:
            raise
        except CadranError:
            continue
        if split is not None:
            found.append(split)
    return found


def _split(
    reader: Reader, reading: Reading, dimension: str, where: tuple[str, ...], w: Words
) -> Split | None:
    card, window = reading.card, reading.window
    now = reader.members(card, dimension, (window.first, window.last), where=where)
    if window.is_running and all(value is None for value in now.values()):
        # Some days of a period may tell who answered where the period itself does not: where it
        # holds nothing beyond them, it is the same question.
        whole = window.first, periods.last_of(window.first, window.grain)
        if reader.course(card, window.grain, *whole, where=where) == {
            None: {window.first: reading.value}
        }:
            now = reader.members(card, dimension, whole, where=where)
    if len(now) < 2:  # noqa: PLR2004 - one member compares nothing
        return None
    before = reader.members(card, dimension, (window.base_first, window.base_last), where=where)
    first = periods.shifted(window.first, window.grain, -12)
    course = reader.course(card, window.grain, first, window.last, by=dimension, where=where)
    starts = [periods.shifted(window.first, window.grain, back) for back in range(-12, 1)]
    label = w.names(card.dimensions)[dimension]
    members = []
    for member in sorted(now, key=lambda m: (-abs(float(now[m] or 0)), str(m)))[:_MOST_MEMBERS]:
        one = Reading(card, window, value=now[member], base=before.get(member))
        members.append(
            Member(
                w("no_member", dimension=label.lower()) if member is None else w.member(member),
                w.value(one.value, card) if one.value is not None else w("hidden"),
                w.change(one.value, one.base, card) if one.base is not None else "",
                one.tone,
                plots.sparkline([course.get(member, {}).get(start) for start in starts]),
            )
        )
    return Split(label, members)


def published(reader: Reader, reading: Reading, w: Words) -> list[Published]:
    """The last periods as they were published, beside what is known today."""
    card, window = reading.card, reading.window
    first = periods.shifted(window.first, window.grain, -_MOST_PUBLISHED)
    time, name = f"metric_time__{window.grain}", card.name
    try:
        rows = reader.source.rows(
            [name], [time], where=reader.view.where, start=first, end=window.last, view="both"
        )
    except ENDING:
        raise
    except CadranError:
        return []
    told = []
    for row in sorted(rows, key=lambda one: str(one[time]), reverse=True):
        before, now = row.get(f"{name}_published"), row.get(name)
        if before is None or row[time] is None:
            continue
        told.append(
            Published(
                w.period(row[time], window.grain),
                w.value(before, card),
                w.value(now, card),
                w.value(0, card) if now == before else w.amount(now - before, card),
            )
        )
    return told


def _links(reader: Reader, card: Card) -> list[tuple[str, Card, bool]]:
    """KPIs that move it and KPIs that it moves: which way, the card, whether exactly."""
    try:
        every = reader.cached("tree", lambda: tree.read(reader.source.layer))
    except CadranError:
        return []
    cards = {one.name: one for one in reader.source.kpis}
    links = [
        ("moved_by", cards[link.tail], link.is_exact)
        for link in every.into(card.name)
        if link.tail in cards
    ]
    links += [
        ("moves", cards[link.head], link.is_exact)
        for link in every.out_of(card.name)
        if link.head in cards
    ]
    return links


def _parameters(card: Card, window: Window, where: Sequence[str]) -> list[tuple[str, str]]:
    first = periods.shifted(window.first, window.grain, -12)
    return [
        ("metrics", card.name),
        ("group_by", f"metric_time__{window.grain}"),
        *(("where", condition) for condition in where),
        ("start", first.isoformat()),
    ]


def _curl(card: Card, window: Window, where: Sequence[str]) -> str:
    lines = [
        f"  --data-urlencode {shlex.quote(f'{name}={value}')}"
        for name, value in _parameters(card, window, where)
    ]
    head = 'curl -s -G -H "Authorization: Bearer $CADRAN_TOKEN"'
    return " \\\n".join([head, *lines, '  "$CADRAN/api/v1/query"'])


def _downloads(card: Card, window: Window, where: Sequence[str]) -> list[tuple[str, str]]:
    parameters = _parameters(card, window, where)
    return [
        (form.upper(), f"/api/v1/query?{urlencode([*parameters, ('format', form)])}")
        for form in ("csv", "xlsx", "parquet")
    ] + [("SQL", f"/api/v1/sql?{urlencode(parameters)}")]
