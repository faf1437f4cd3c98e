"""What several pages have: the form above, tiles, marks of breaks, what a change is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadran.charts import plots
from cadran.core.days import Days
from cadran.core.targets import Status
from cadran.errors import CadranError
from cadran.formats import periods
from cadran.insight import drivers, forecast
from cadran.insight.readings import ENDING, SHOWN
from cadran.insight.scorecard import objectives
from cadran.insight.view import period_text
from cadran.reports.period import GRAINS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from cadran.charts.picture import Bars, Plot
    from cadran.core.project.cards import Card
    from cadran.insight.forecast import Forecast
    from cadran.insight.readings import Reader, Reading
    from cadran.insight.view import Window
    from cadran.insight.wording import Words

_TONES = {
    Status.ON_TARGET: "ok",
    Status.NEAR: "near",
    Status.WARNING: "near",
    Status.CRITICAL: "bad",
}
_OUTLOOKS = {"likely": "ok", "open": "near", "unlikely": "bad"}
PACKS = ("pdf", "pptx", "xlsx", "html")  # forms of a board pack
_MOST_MEMBERS = 8
_PERIODS = 24


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
class Breakdown:
    """What a change is made up of, in a picture, with what has to be said beside it."""

    title: str
    sub: str
    bars: Bars
    notes: list[str]


def pack_links(reader: Reader, window: Window | None) -> list[tuple[str, str]]:
    """The forms of the board pack of what a page shows, with their addresses.

    None of them where a page is of weeks, and for who does not see all that a pack is of.
    """
    if window is None or window.grain not in GRAINS:
        return []
    if not all(reader.whole(card.name) for card in reader.source.layer.kpis()):
        return []
    period = period_text(window.first, window.grain)
    lang = reader.view.lang
    return [(form, f"/board/pack.{form}?lang={lang}&period={period}") for form in PACKS]


def controls(
    reader: Reader, w: Words, path: str, through: dt.date | None, *, of: Sequence[Card] = ()
) -> Controls:
    """The form of a page; `of` names the KPIs that a page is of, where it is not of all."""
    view = reader.view
    chosen = "" if view.start is None else period_text(view.start, view.grain)
    offered = []
    if through is not None:
        start = periods.start_of(through, view.grain)
        offered = [periods.shifted(start, view.grain, -back) for back in range(_PERIODS)]
        if view.start is not None and view.start not in offered:
            offered.append(view.start)
    served = {card.objective for card in reader.source.kpis}
    goals = [
        (row["objective"], row[f"label_{w.lang}"])
        for row in reader.cached("objectives", lambda: objectives(reader.source.layer))
        if row["objective"] in served
    ]
    if of:
        goals = []
    strategic = [card for card in reader.source.kpis if card.tier == "strategic"]
    return Controls(
        path,
        chosen,
        [(period_text(start, view.grain), w.period(start, view.grain)) for start in offered],
        goals,
        [] if of else sorted({card.scope for card in reader.source.kpis}),
        _filters(reader, of or strategic or list(reader.source.kpis)),
    )


def objective_label(reader: Reader, card: Card, w: Words) -> str:
    """The objective that a KPI serves, in words."""
    rows = reader.cached("objectives", lambda: objectives(reader.source.layer))
    labels = {row["objective"]: str(row[f"label_{w.lang}"]) for row in rows}
    return labels.get(card.objective, w.name(card.objective))


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


def standing(reading: Reading, w: Words) -> tuple[str, str, str]:
    """Where a value stands against its target: tone, words, and the figure behind them.

    Of a period that is not over it is what is to be expected, or the share that is reached.
    """
    card, target = reading.card, reading.target
    if target is not None and reading.status is not Status.NONE:
        tone = _TONES.get(reading.status, "")
        return tone, w(reading.status.value), w.value(target.target, card)
    if reading.outlook:
        end = periods.last_of(reading.window.first, reading.window.grain)
        expected = w.value(reading.expected, card)
        detail = w("expected_at", value=expected, day=w.day(end, year=False))
        return _OUTLOOKS[reading.outlook], w(reading.outlook), detail
    if target is not None and target.target and reading.value is not None:
        share = float(reading.value) / float(target.target)
        return "", w("acquired", share=w.share(share)), w.value(target.target, card)
    return "", w("no target"), ""


def basis(reading: Reading, w: Words) -> str:
    """The days that a value is compared with; of a sum, also how many more or fewer they are."""
    window = reading.window
    text = w("on_days", days=w.days(window.base_first, window.base_last))
    more = (window.base_last - window.base_first) - (window.last - window.first)
    if not more or reading.card.additivity != "additive":
        return text
    return f"{text}, {w.count('days_more' if more.days > 0 else 'days_fewer', abs(more.days))}"


def absence(reading: Reading, w: Words) -> tuple[str, str]:
    """Why a reading has no value, and more of it."""
    if reading.problem == "empty":
        return w("no_data"), ""
    if reading.problem == "grain":
        return w("no_grain", grain=w(reading.window.grain)), ""
    if reading.problem:
        return w("cannot"), ""
    return w("hidden"), w("hidden_why")


def tile_plot(reading: Reading) -> Plot:
    """The sparkline of a tile: the periods until the one shown."""
    window = reading.window
    starts = [periods.shifted(window.first, window.grain, back) for back in range(1 - SHOWN, 1)]
    return plots.sparkline([reading.history.get(start) for start in starts])


def break_marks(reading: Reading, w: Words) -> list[plots.Mark]:
    """Where the definition changed, as marks across a chart."""
    return [
        plots.Mark(
            periods.start_of(change.period.date(), reading.window.grain),
            w("break_n", n=change.after),
        )
        for change in reading.breaks
    ]


def forecast_of(reader: Reader, reading: Reading) -> Forecast | None:
    """The forecast of the running period that a reading is of; None where there can be none."""
    card, window = reading.card, reading.window
    if not window.is_running or reading.value is None:
        return None
    where = reader.where_of(reading)
    try:
        expected = forecast.to_end(reader.source, card.name, window.grain, where=where)
    except ENDING:
        raise
    except CadranError:
        return None
    return expected if expected.period.start == window.first else None


def outlook(reading: Reading, expected: Forecast) -> str:
    """Whether the target of a running period is likely to be reached: likely, open or unlikely."""
    if reading.target is None or reading.card.direction not in {"up", "down"}:
        return ""
    goal, sign = float(reading.target.target), 1 if reading.card.direction == "up" else -1
    worst, best = sorted((expected.low * sign, expected.high * sign))
    if worst >= goal * sign:
        return "likely"
    return "unlikely" if best < goal * sign else "open"


def breakdown(reader: Reader, reading: Reading, w: Words) -> Breakdown | None:
    """What the change is made up of: the factors of the KPI, else the members of a dimension."""
    card, window = reading.card, reading.window
    if reading.change is None:
        return None
    change = _contributions(reader, reading)
    if change is None:
        return None
    steps = [
        (_factor(reader, part, w), part.amount, _from_to(reader, part, change.by is None, w))
        for part in change.contributions
    ]
    if change.others is not None:
        steps.append((w("others"), change.others.amount, ""))
    title = w("contributions")
    if change.by is not None:
        title = f"{title} · {w.names(card.dimensions)[change.by].lower()}"
    days = w.days(window.base_first, window.base_last)
    picture = plots.waterfall(
        (days, change.base), steps, (w.days(window.first, window.last), change.value), card,
        title=title, lang=w.lang,
    )  # fmt: skip
    sub = w("contributions_sub", amount=w.amount(change.change, card), days=days)
    return Breakdown(title, sub, picture, change.notes(w.lang)[1:])


def _contributions(reader: Reader, reading: Reading) -> drivers.Drivers | None:
    """The factors of a change, or the members of the first dimension that it splits by."""
    card, window = reading.card, reading.window
    now, before = Days(window.first, window.last), Days(window.base_first, window.base_last)
    where = reader.where_of(reading)
    try:
        return drivers.by_factor(reader.source, card.name, now, before, where=where)
    except ENDING:
        raise
    except CadranError:
        pass  # it has no factors, or none that may be seen
    for dimension in card.dimensions:
        if dimension in reader.view.filters:
            continue
        try:
            return drivers.by_member(
                reader.source, card.name, dimension, now, before, where=where, shown=_MOST_MEMBERS
            )
        except ENDING:
            raise
        except CadranError:
            continue
    return None


def _factor(reader: Reader, part: drivers.Contribution, w: Words) -> str:
    if part.name is None:
        return w("others")
    cards = {card.name: card for card in reader.source.kpis}
    if part.name in cards:
        return w.label(cards[part.name])
    own = w.member(part.name)
    return own if own != part.name else part.label or own


def _from_to(reader: Reader, part: drivers.Contribution, is_factor: bool, w: Words) -> str:  # noqa: FBT001
    if not is_factor or part.base is None or part.value is None:
        return ""
    cards = {card.name: card for card in reader.source.kpis}
    card = cards.get(part.name)
    if card is None:
        return f"{w.short(part.base)} → {w.short(part.value)}"
    return f"{w.value(part.base, card)} → {w.value(part.value, card)}"
