"""Thirteen months of each KPI with its natural limits: what is a signal, and what is noise.

Limits are those of the chart of individuals and moving ranges: the mean, more or less 2.66 times
the mean difference of neighbours (Wheeler, "Understanding Variation", 1993). They are taken of the
months since the definition last changed.
"""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.charts import plots
from cadran.core.targets import target_of, targets
from cadran.formats import periods
from cadran.reports.basis import defined
from cadran.reports.pack import Notes, Page, PictureBlock, Series, Text

if TYPE_CHECKING:
    import datetime as dt

    from cadran.insight.readings import Reading
    from cadran.reports.basis import Basis

PANELS = 9
LEAST = 6  # months, below which there are no limits
_REACH = 2.66
_NAMED = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """What a KPI does by itself.

    Attributes:
        mean: of the months.
        low: the lower limit.
        high: the upper one.
        since: the first month that they hold for.
    """

    mean: float
    low: float
    high: float
    since: dt.date

    def holds(self, value: Any) -> bool:
        """Whether a value is within them."""
        return self.low <= float(value) <= self.high


def limits(values: dict[dt.date, Any], unit: str, begins: dt.date | None = None) -> Limits | None:
    """The natural limits of a series; None where it is too short.

    Args:
        values: by month, in order.
        unit: a `%` stays between 0 and 1; nothing that was never negative has a limit below 0.
        begins: the month from which on values mean what they mean now.
    """
    known = {
        start: float(value) for start, value in sorted(values.items())
        if value is not None and (begins is None or start >= begins)
    }  # fmt: skip
    if len(known) < LEAST:
        return None
    mean = statistics.fmean(known.values())
    ranges = [abs(b - a) for a, b in itertools.pairwise(known.values())]
    reach = _REACH * statistics.fmean(ranges)
    low, high = mean - reach, mean + reach
    if min(known.values()) >= 0:
        low = max(low, 0.0)
    if unit == "%" and max(known.values()) <= 1:
        high = min(high, 1.0)
    return Limits(mean, low, high, min(known))


@dataclass(frozen=True, slots=True)
class _Panel:
    reading: Reading
    values: dict[dt.date, Any]
    limits: Limits | None
    signals: tuple[dt.date, ...]


def page(basis: Basis) -> Page | None:
    """The trends; None where no KPI has two months."""
    w = basis.words
    panels = [_panel(basis, one) for one in _chosen(basis)]
    panels = [one for one in panels if sum(v is not None for v in one.values.values()) > 1]
    if not panels:
        return None
    blocks = tuple(_picture(basis, one) for one in panels)
    first, last = basis.months()[0], basis.last_month
    return Page(
        "trends", "5", w("trends_page"), _title(basis, panels), _subtitle(basis, panels),
        (*blocks, Notes((Text(w("trends_read")),))),
        w("foot_trends", first=w.period(first, "month"), last=w.period(last, "month")),
    )  # fmt: skip


def _chosen(basis: Basis) -> list[Reading]:
    """The strategic KPIs, and as many others with a target as there is room for."""
    strategic = [one for one in basis.courses.values() if one.value is not None]
    room = PANELS - len(strategic)
    every = targets(basis.source.layer)
    names = {one.card.name for one in strategic}
    others = [
        card for card in basis.monthly.cards()
        if card.name not in names and "month" in card.grains
        and basis.reader.whole(card.name)
        and target_of(every, card, "month", basis.last_month) is not None
    ][: max(room, 0)]  # fmt: skip
    return (strategic + basis.monthly.readings(others))[:PANELS]


def _panel(basis: Basis, reading: Reading) -> _Panel:
    running = basis.open_month(reading)
    # What comes together over a month has none to be drawn before it is over.
    hidden = running if reading.accrues else None
    values = {
        start: None if start == hidden else reading.history.get(start) for start in basis.months()
    }
    whole = {start: value for start, value in values.items() if start != running}
    changed = [periods.start_of(change.period.date(), "month") for change in reading.breaks]
    found = limits(whole, reading.card.unit, max(changed, default=None))
    signals = tuple(
        start for start, value in whole.items()
        if value is not None and found is not None and start >= found.since
        and not found.holds(value)
    )  # fmt: skip
    return _Panel(reading, values, found, signals)


def _picture(basis: Basis, panel: _Panel) -> PictureBlock:
    w, card = basis.words, panel.reading.card
    cuts = tuple(periods.start_of(c.period.date(), "month") for c in panel.reading.breaks)
    starts = list(panel.values)
    last = max(start for start, value in panel.values.items() if value is not None)
    drawn = [
        plots.Series(w.short_period(last, "month"), dict(panel.values), "blue", cuts=cuts),
    ]
    labels = tuple(w.short_period(start, "month") for start in starts)
    asked = tuple(
        None if value is None else basis.month_of(panel.reading, start)
        for start, value in panel.values.items()
    )
    series = [Series(w.label(card), labels, tuple(panel.values.values()), card.unit, sources=asked)]
    drawn += [plots.Series("", {start: panel.values[start]}, "bad") for start in panel.signals]
    target = panel.reading.target
    if target is not None:
        goals = dict.fromkeys(starts, target.target)
        drawn.append(plots.Series(w.inner(w("target_name")), goals, "orange", "dashed"))
        month = f"target {card.name} {basis.last_month:%Y-%m}"
        series.append(
            Series(w("target_name"), labels, tuple(goals.values()), card.unit, "target",
                   (month,), f"target {target.target}")
        )  # fmt: skip
    if panel.limits is not None:
        since = [start for start in starts if start >= panel.limits.since]
        for name, value in (("high", panel.limits.high), ("low", panel.limits.low)):
            held = dict.fromkeys(since, value)
            drawn.append(plots.Series(w(f"limit_{name}"), held, "grey", "dotted"))
            series.append(
                Series(
                    w.sentence(w(f"limit_{name}")), labels,
                    tuple(held.get(start) for start in starts), card.unit, "limit",
                    tuple(f"limit {name} {card.name}" if s == since[0] else None for s in starts),
                    defined(card),
                )
            )  # fmt: skip
    marks = [
        plots.Mark(periods.start_of(c.period.date(), "month"), w("break_n", n=c.after), "orange")
        for c in panel.reading.breaks
    ]
    plot = plots.trend(
        drawn, card, "month", title=w("figure_of", name=w.label(card)), lang=w.lang,
        breaks=marks, zero=False, running=basis.open_month(panel.reading),
    )  # fmt: skip
    sub = w("too_short") if panel.limits is None else w.counted("signals", len(panel.signals))
    return PictureBlock(w.label(card), sub, plot, tuple(series), height=38.5, span=4)


def _in_period(basis: Basis, panel: _Panel) -> list[dt.date]:
    return [start for start in panel.signals if start >= basis.start]


def _title(basis: Basis, panels: list[_Panel]) -> Text:
    w = basis.words
    names = [w.inner(w.label(one.reading.card)) for one in panels if _in_period(basis, one)]
    if not any(one.limits for one in panels):
        return Text(w("trends_short"))
    if not names and basis.grain == "month" and basis.window.is_running:
        return Text(w("trends_open"))
    if not names:
        return Text(w("trends_calm"))
    shown = w.listed(names[:_NAMED])
    if len(names) > _NAMED:
        return Text(w.sentence(w("trends_signals", n=w.spelled(len(names)), names=shown)))
    return Text(w.sentence(w.counted("trends_signal", len(names), names=shown)))


def _subtitle(basis: Basis, panels: list[_Panel]) -> Text:
    w = basis.words
    earlier = sum(len(one.signals) - len(_in_period(basis, one)) for one in panels)
    parts = [w.sentence(w.counted("signals_before", earlier))]
    changed = [one for one in panels if one.reading.breaks]
    if changed:
        names = w.listed([w.inner(w.label(one.reading.card)) for one in changed])
        parts.append(w("breaks_within", names=names))
    return Text(" ".join(parts))
