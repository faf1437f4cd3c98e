"""The page of impact: what incidents cost, by what, beside the platform, and what to do."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cadran.charts import plots
from cadran.charts.picture import Bar, Bars, Dot, Segment
from cadran.errors import CadranError
from cadran.formats import numbers, periods
from cadran.insight import costs, service_levels
from cadran.insight.impact import Impacts
from cadran.insight.readings import ENDING
from cadran.web import incidents, marks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cadran.charts.picture import Plot
    from cadran.core.project.cards import Card
    from cadran.insight.impact import By, Impact, Total
    from cadran.insight.readings import Reader
    from cadran.insight.wording import Words
    from cadran.web.incidents import Entry
    from cadran.web.marks import Lane

_MONEY = "net_revenue"
_TECHNICAL = ("platform_availability", "error_rate")
_BUSINESS = ("net_revenue", "order_count")
_ORDER: tuple[Literal["cause", "service", "month"], ...] = (
    "cause",
    "month",
    "service",
)  # the months are the tallest
_WEEKS = 13
_MOST_BARS, _MOST_WATCHED = 8, 3


@dataclass(frozen=True, slots=True)
class Axis:
    """Two measures over the same days, in two plots, with incidents below."""

    sub: str
    plots: list[tuple[str, Plot]]


def page(reader: Reader, w: Words) -> dict[str, Any]:
    """What the page of impact holds."""
    first, last = incidents.span(reader)
    entries = incidents.entries(reader, w, first, last)
    estimated = [one for one in entries if one.cost is not None]
    every = costs.impacts(reader) or {}
    some = Impacts(tuple(every[one.id] for one in estimated))
    costly = sorted(
        (one for one in estimated if one.cost and one.cost.is_measurable),
        key=lambda one: -(one.cost.amount or 0.0 if one.cost else 0.0),
    )
    month = _month(reader)
    return {
        "title": w("impact"),
        "until": reader.last_day(),
        "days": w.days(first, last),
        "months": incidents.months(reader),
        "costly": costly,
        "others": [one for one in estimated if one not in costly],
        "total": _total(reader, some, w),
        "counted": len(estimated),
        "share": w("of_all", n=w.number(len(costly)), all=w.number(len(estimated))),
        "month": w.period(month, "month"),
        "worst": _worst(reader, w, month),
        "bars": [(w(f"by_{by}"), bars) for by in _ORDER if (bars := _bars(reader, some, by, w))],
        "axis": _axis(reader, w),
        "actions": actions(reader, w, some, costly),
        "is_told": bool(every),
        "sees": service_levels.sees_incidents(reader),
    }


def _month(reader: Reader) -> dt.date:
    """The month whose worst incident is told: that of the view, else the last that is over."""
    view = reader.view
    if view.start is not None and view.grain == "month":
        return view.start
    return periods.last_complete(reader.last_day(), "month")


def _worst(reader: Reader, w: Words, month: dt.date) -> Entry | None:
    """The incident of a month that cost most; where none did, that took most of a budget."""
    entries = incidents.entries(reader, w, month, periods.last_of(month, "month"))
    return max(
        entries,
        key=lambda one: (
            one.cost.amount or 0.0 if one.cost else 0.0,
            one.row["worst_consumed_rate"] or 0.0,
        ),
        default=None,
    )


def _of_money(reader: Reader, some: Impacts, by: By | None = None) -> list[Total]:
    """The sums of revenue lost; those of the same incidents are drawn once."""
    if not some.impacts:
        return []
    key = ("totals", by, tuple(one.incident_id for one in some.impacts))
    totals = reader.cached(key, lambda: some.totals(by))
    return [total for total in totals if total.outcome == _MONEY]


def _total(reader: Reader, some: Impacts, w: Words) -> dict[str, str] | None:
    """The loss of all of them together, with its interval."""
    total = next(iter(_of_money(reader, some)), None)
    if total is None:
        return None
    unit = _unit(some.impacts)
    if not total.is_measurable:
        return {"loss": w("no_loss"), "interval": ""}
    return {"loss": _money(total.interval.estimate, unit, w), "interval": _between(total, unit, w)}


def _unit(some: Sequence[Impact]) -> str:
    return next((one.effects[_MONEY].unit for one in some if _MONEY in one.effects), "")


def _money(amount: float, unit: str, w: Words) -> str:
    return numbers.measure(amount, unit, lang=w.lang)


def _between(total: Total, unit: str, w: Words) -> str:
    low, high = (max(bound, 0.0) for bound in (total.interval.lower, total.interval.upper))
    return w("between_short", low=_money(low, unit, w), high=_money(high, unit, w))


def _bars(reader: Reader, some: Impacts, by: By, w: Words) -> Bars | None:
    """The loss by cause, service or month: a dot on its interval."""
    totals = _of_money(reader, some, by)
    if by != "month":
        totals = sorted(totals, key=lambda total: -total.interval.estimate)[:_MOST_BARS]
    measurable = [total for total in totals if total.is_measurable]
    if not measurable:
        return None
    high, unit = max(total.interval.upper for total in measurable), _unit(some.impacts)
    rows = []
    for total in totals:
        name = (
            w.period(dt.date.fromisoformat(total.name), "month")
            if by == "month"
            else w.name(total.name)
        )
        count = w.count("incidents_count", total.incidents)
        if not total.is_measurable:
            rows.append(Bar(name, w("no_loss_short"), (), count, tone="muted"))
            continue
        least, loss, most = (
            max(value, 0.0) / high
            for value in (total.interval.lower, total.interval.estimate, total.interval.upper)
        )
        rows.append(
            Bar(
                name, _money(total.interval.estimate, unit, w),
                (Segment(least, most - least, "orange", soft=True),),
                f"{count}, {_between(total, unit, w)}", dots=(Dot(loss, 0.5, "orange"),),
            )
        )  # fmt: skip
    return Bars(w(f"by_{by}"), tuple(rows))


def _axis(reader: Reader, w: Words) -> Axis | None:
    """A measure of the platform above one of the business, by day, with incidents below."""
    cards = {card.name: card for card in reader.source.kpis if "day" in card.grains}
    chosen = [
        next((cards[name] for name in names if name in cards), None)
        for names in (_TECHNICAL, _BUSINESS)
    ]
    through = [reader.through(card.name) for card in chosen if card is not None]
    days = [day for day in through if day is not None]
    if not days:
        return None
    last = min(days)
    first = periods.start_of(last, "week") - dt.timedelta(weeks=_WEEKS - 1)
    if reader.view.start is not None:
        first = reader.view.start
        last = min(last, periods.last_of(first, reader.view.grain))
    happened = marks.lane(reader, w, first, last, "day")
    drawn = [
        (w.label(card), plot)
        for card in chosen
        if card is not None and (plot := _by_day(reader, w, card, (first, last), happened))
    ]
    sub = f"{w.days(first, last)}. {w('one_axis_sub')} {happened.legend}"
    return Axis(sub.strip(), drawn) if drawn else None


def _by_day(
    reader: Reader, w: Words, card: Card, days: tuple[dt.date, dt.date], happened: Lane
) -> Plot | None:
    try:
        values = reader.course(card, "day", *days).get(None, {})
    except ENDING:
        raise
    except CadranError:
        return None
    tone: Any = "teal" if card.name in _TECHNICAL else "blue"
    return plots.trend(
        [plots.Series("", values, tone)], card, "day", title=w.label(card), lang=w.lang,
        head=w("day_head"), height=150, events=happened.marks,
    )  # fmt: skip


def actions(reader: Reader, w: Words, some: Impacts, costly: list[Entry]) -> list[tuple[str, str]]:
    """What follows from the figures: an address, and a sentence with its reason."""
    sentences: list[tuple[str, str]] = []
    link = reader.view.link
    cause = next(
        iter(sorted((t for t in _of_money(reader, some, "cause") if t.is_measurable),
                    key=lambda t: -t.interval.estimate)), None,
    )  # fmt: skip
    if cause is not None and costly:
        count = sum(one.row["cause"] == cause.name for one in costly)
        loss = _money(cause.interval.estimate, _unit(some.impacts), w)
        sentence = w("act_cause", cause=w.name(cause.name), n=w.number(count),
                     all=w.number(len(costly)), loss=loss)  # fmt: skip
        first = next((one.id for one in costly if one.row["cause"] == cause.name), costly[0].id)
        sentences.append((link(f"/board/incidents/{first}"), sentence))
    levels = service_levels.levels(reader, w)
    for level in [one for one in levels if one.tone == "bad"]:
        name = f"{level.service}, {level.label}"
        sentences.append((link(f"/board/levels/{level.id}"), w("act_slo", slo=name)))
    for level in [one for one in levels if one.tone == "near"][:_MOST_WATCHED]:
        name = f"{level.service}, {level.label}"
        sentences.append(
            (link(f"/board/levels/{level.id}"), w("act_watch", slo=name, left=level.left))
        )
    return sentences
