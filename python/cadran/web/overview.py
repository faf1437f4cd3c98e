"""The overview: strategic KPIs as tiles, what changed, service levels, what is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.charts import plots
from cadran.charts.plots import Series
from cadran.formats import periods
from cadran.insight.scorecard import objectives
from cadran.web import service_levels
from cadran.web.readings import SHOWN
from cadran.web.view import period_text

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from cadran.charts.picture import Bars, Plot
    from cadran.core.project.cards import Card
    from cadran.web.readings import Reader, Reading
    from cadran.web.render import Words
    from cadran.web.view import Window

_SENTENCES = 5
_MOVED = 0.01  # of the base, from which on a change is told
_MEMBERS = 6
_PERIODS = 24
_CURRENCIES = {"EUR", "USD", "GBP"}


@dataclass(frozen=True, slots=True)
class Controls:
    """What the form above a page offers.

    Attributes:
        path: where it leads.
        period: the chosen period as an address has it; empty is the latest.
        periods: those to choose from: address and words.
        objectives: key and label.
        teams: scopes of KPIs.
        filters: dimensions, each with its members.
    """

    path: str
    period: str
    periods: list[tuple[str, str]]
    objectives: list[tuple[str, str]]
    teams: list[str]
    filters: list[tuple[str, list[str]]]


@dataclass(frozen=True, slots=True)
class Course:
    """A chart with its title and what has to be said of it."""

    title: str
    sub: str
    plot: Plot


@dataclass(frozen=True, slots=True)
class Contributions:
    """What a change is made up of."""

    title: str
    sub: str
    bars: Bars


def controls(reader: Reader, w: Words, path: str, through: dt.date | None) -> Controls:
    """The form of a page."""
    view = reader.view
    chosen = "" if view.start is None else period_text(view.start, view.grain)
    offered = []
    if through is not None:
        start = periods.start_of(through, view.grain)
        offered = [periods.shifted(start, view.grain, -back) for back in range(_PERIODS)]
        if view.start is not None and view.start not in offered:
            offered.append(view.start)
    held = {card.objective for card in reader.source.kpis}
    goals = [
        (row["objective"], row[f"label_{w.lang}"])
        for row in reader.once("objectives", lambda: objectives(reader.source.layer))
        if row["objective"] in held
    ]
    strategic = [card for card in reader.source.kpis if card.tier == "strategic"]
    return Controls(
        path,
        chosen,
        [(period_text(start, view.grain), w.period(start, view.grain)) for start in offered],
        goals,
        sorted({card.scope for card in reader.source.kpis}),
        _filters(reader, strategic or list(reader.source.kpis)),
    )


def _filters(reader: Reader, cards: Sequence[Card]) -> list[tuple[str, list[str]]]:
    """The dimensions that most KPIs share, each with its members, as far as they may be seen."""
    names: dict[str, list[str]] = {}
    for card in cards:
        for name in card.dimensions:
            names.setdefault(name, []).append(card.name)
    shared = sorted(names, key=lambda name: (-len(names[name]), name))[:3]
    filters = []
    for name in sorted({*shared, *reader.view.filters}):
        if name not in names:
            continue
        kpi = names[name][0]
        values = reader.source.rows([kpi], [name])
        members = sorted({str(row[name]) for row in values if row[name] is not None})
        if len(members) > 1:
            filters.append((name, members[:100]))
    return filters


def overview(reader: Reader, w: Words) -> dict[str, Any]:
    """What the overview holds."""
    cards = reader.cards("strategic") or reader.cards()[:12]
    readings = reader.readings(cards)
    window = reader.window(cards)
    levels = service_levels.levels(reader, w)
    focus = _focus(readings)
    return {
        "title": w("overview"),
        "window": window,
        "until": max(filter(None, (reader.through(card.name) for card in cards)), default=None),
        "page": controls(
            reader, w, "/board",
            max(filter(None, (reader.through(card.name) for card in cards)), default=None),
        ),
        "tiles": [(one, tile_plot(one)) for one in readings],
        "levels": levels[:8],
        "heat": service_levels.heat(reader, w, levels),
        "running": [
            row for row in service_levels.incidents(reader) if row["restored_at"] is None
        ],
        "sentences": sentences(readings, w),
        "course": course_by(reader, focus, w) if focus else None,
        "contributions": contributions(reader, focus, w) if focus else None,
    }  # fmt: skip


def tile_plot(reading: Reading) -> Plot:
    """The sparkline of a tile: the periods until the one shown."""
    window = reading.window
    starts = [periods.shifted(window.first, window.grain, back) for back in range(1 - SHOWN, 1)]
    return plots.sparkline([reading.history.get(start) for start in starts])


def sentences(readings: Sequence[Reading], w: Words) -> list[str]:
    """What changed, the largest changes first, each in one sentence with its exact amount."""
    told = []
    for one in readings:
        change = one.change
        if change is None or not one.base:
            continue
        size = abs(float(change) / float(one.base))
        if size < _MOVED and one.card.unit != "%":
            continue
        told.append((size, one))
    told.sort(key=lambda entry: -entry[0])
    return [_sentence(one, w) for _, one in told[:_SENTENCES]]


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


def _focus(readings: Sequence[Reading]) -> Reading | None:
    """The KPI that the charts of the overview are of: the first that is money, else the first."""
    shown = [one for one in readings if one.value is not None and one.card.dimensions]
    money = [one for one in shown if one.card.unit in _CURRENCIES]
    return next(iter(money or shown), None)


def course_by(reader: Reader, reading: Reading, w: Words, dimension: str = "") -> Course | None:
    """A KPI over thirteen periods by its first dimension, the largest members."""
    card, window = reading.card, reading.window
    by = dimension or next((n for n in card.dimensions if n not in reader.view.filters), "")
    if not by:
        return None
    first = periods.shifted(window.first, window.grain, 1 - SHOWN)
    where = reader.view.where if reading.is_filtered else ()
    last = window.last if window.is_running else periods.last_of(window.first, window.grain)
    found = reader.course(card, window.grain, first, last, by=by, where=where)
    largest = sorted(
        found,
        key=lambda member: (-float(found[member].get(window.first) or 0), str(member)),
    )[:_MEMBERS]
    plot = plots.trend(
        [Series(str(member), found[member]) for member in largest],
        card,
        window.grain,
        title=w("by", label=w.label(card), dimension=w.name(by).lower()),
        lang=w.lang,
        head=w("period_head"),
        running=window.first if window.is_running else None,
        breaks=break_marks(reading, w),
        height=340,
    )
    sub = w("thirteen")
    if window.is_running:
        sub += " " + w("running_dotted", day=w.day(window.last))
    return Course(w("by", label=w.label(card), dimension=w.name(by).lower()), sub, plot)


def break_marks(reading: Reading, w: Words) -> list[plots.Mark]:
    """Where the definition changed, as marks across a chart."""
    return [
        plots.Mark(
            periods.start_of(change.period.date(), reading.window.grain),
            w("break_n", n=change.after),
        )
        for change in reading.breaks
    ]


def contributions(reader: Reader, reading: Reading, w: Words) -> Contributions | None:
    """What the change of an additive KPI is made up of, by members of a dimension."""
    card, window = reading.card, reading.window
    by = next((n for n in reversed(card.dimensions) if n not in reader.view.filters), "")
    if not by or reading.change is None or card.additivity != "additive":
        return None
    where = reader.view.where if reading.is_filtered else ()
    steps = member_steps(reader, card, by, window, w, where=where)
    if steps is None:
        return None
    days = w.days(window.base_first, window.base_last)
    return Contributions(
        w("contributions"),
        w("contributions_sub", amount=w.amount(reading.change, card), days=days),
        plots.contributions(steps, card, title=w("contributions"), lang=w.lang),
    )


def member_steps(  # noqa: PLR0913 - a question and its words
    reader: Reader,
    card: Card,
    dimension: str,
    window: Window,
    w: Words,
    *,
    where: tuple[str, ...] = (),
) -> list[tuple[str, Any, str]] | None:
    """How much each member of a dimension adds to a change; None where one of them is hidden."""
    now = reader.members(card, dimension, window, where=where)
    base_window = type(window)(
        window.grain, window.base_first, window.base_last, window.base_first, window.base_last,
        is_running=False,
    )  # fmt: skip
    base = reader.members(card, dimension, base_window, where=where)
    if any(value is None for value in (*now.values(), *base.values())):
        return None
    changes = {m: now.get(m, 0) - base.get(m, 0) for m in {**now, **base}}
    ordered = sorted(changes, key=lambda member: (-abs(changes[member]), str(member)))
    steps = [(w("others") if m is None else str(m), changes[m], "") for m in ordered[:_MEMBERS]]
    rest = (
        sum((changes[member] for member in ordered[_MEMBERS:]), start=type(changes[ordered[0]])(0))
        if len(ordered) > _MEMBERS
        else 0
    )
    if rest:
        steps.append((w("others"), rest, ""))
    return steps
