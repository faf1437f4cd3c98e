"""What incidents cost the business, with intervals; beside it what contracts pay. Never one sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cadran.charts.picture import Bar, Bars, Segment
from cadran.insight.impact import METHOD
from cadran.reports.incidents import PARTS, by_loss, loss_of
from cadran.reports.levels import contracted, credit_figures, owed
from cadran.reports.pack import (
    Cell,
    Column,
    Figure,
    Page,
    Paragraphs,
    PictureBlock,
    Row,
    Series,
    Table,
    Text,
)

if TYPE_CHECKING:
    from cadran.insight.impact import Impact, Impacts, Total
    from cadran.reports.basis import Basis
    from cadran.reports.incidents import IncidentFacts
    from cadran.reports.levels import LevelFacts
    from cadran.reports.pack import Block, Role

_MOST = 10


def page(basis: Basis, incident_facts: IncidentFacts, level_facts: LevelFacts) -> Page | None:
    """The costs; None where there is no estimate, or nobody here may be told one."""
    impacts = incident_facts.impacts
    loss = loss_of(basis, incident_facts)
    if impacts is None or not impacts.impacts or loss is None:
        return None
    w = basis.words
    credits_ = credit_figures(basis, level_facts)
    blocks: list[Block] = [_incidents(basis, impacts)]
    bars = _by_cause(basis, impacts)
    if bars is not None:
        blocks.append(bars)
    blocks.append(_beside(basis, level_facts, span=5 if bars is not None else 12))
    if loss[1].value > 0:
        title = basis.text("costs_title", loss=loss[0], low=loss[1], high=loss[2])
    else:
        title = basis.text("costs_title_none", high=loss[2])
    subtitle = (
        w("costs_credits", credits=w.listed([one.text for one in credits_]))
        if credits_
        else w("costs_no_credits")
    )
    return Page(
        "costs", "6", w("costs_page"), title,
        Text(subtitle, "", tuple(credits_)), tuple(blocks), w("foot_costs"),
    )  # fmt: skip


def _incidents(basis: Basis, impacts: Impacts) -> Table:
    w = basis.words
    ordered = sorted(impacts.impacts, key=by_loss)
    columns = (
        Column(w("began"), 34), Column(w("service_cause"), 75), Column(w("duration"), 26, "right"),
        Column(w("orders_lost"), 40, "right"), Column(w("tickets_more"), 40, "right"),
        Column(w("revenue_lost"), 54, "right"),
    )  # fmt: skip
    rows = []
    for one in ordered[:_MOST]:
        row = one.incident
        rows.append(
            Row((
                Cell(w.day(w.local(row["started_at"]), year=False),
                     small=w.clock(row["started_at"]), weight="strong"),
                Cell(w.name(row["service"]),
                     small=f"{w.name(str(row['cause']))} · {w.name(str(row['severity']))}",
                     weight="strong"),
                Cell(
                    figure=Figure(
                        w("still_running") if row["restored_at"] is None
                        else w.hours(row["hours_to_restore"]), row["hours_to_restore"], "hours",
                        origin=f"incident {row['incident_id']} hours_to_restore",
                    )
                ),
                _effect(basis, one, "orders"),
                _effect(basis, one, "tickets"),
                _effect(basis, one, "net_revenue"),
            ))
        )  # fmt: skip
    more = len(ordered) - len(rows)
    sub = w.counted("costly_sub", more) if more > 0 else w("costs_sub")
    return Table(w("costs_by_incident"), sub, columns, tuple(rows), is_dense=len(rows) > 5)  # noqa: PLR2004 - rows with room


def _effect(basis: Basis, one: Impact, outcome: str) -> Cell:
    """An effect with its interval; nothing where chance would do the same."""
    w = basis.words
    effect = one.effects.get(outcome)  # type: ignore[call-overload] # its names are literals
    if effect is None:
        return Cell(w("not_estimated_short"), weight="muted")
    if not effect.is_measurable:
        return Cell(w("nothing_measurable"), weight="muted")
    bounds = effect.interval
    origin = f"impact {one.incident_id} {outcome}"
    unit = effect.unit if outcome == "net_revenue" else ""

    def write(value: float) -> str:
        return w.money(value, effect.unit) if unit else w.number(value)

    values = (bounds.estimate, max(bounds.lower, 0.0), bounds.upper)
    figures = [
        Figure(write(value), value, unit, origin=f"{origin} {part}", definition=METHOD)
        for part, value in zip(PARTS, values, strict=True)
    ]
    return Cell(
        figure=figures[0], small=w("between", low=figures[1].text, high=figures[2].text),
        small_figures=(figures[1], figures[2]),
        weight="strong" if outcome == "net_revenue" else "plain",
    )  # fmt: skip


def _by_cause(basis: Basis, impacts: Impacts) -> PictureBlock | None:
    w = basis.words
    totals = [
        one for one in impacts.totals("cause")
        if one.outcome == "net_revenue" and one.is_measurable
    ]  # fmt: skip
    if not totals:
        return None
    totals.sort(key=lambda one: -one.interval.estimate)
    high = max(one.interval.upper for one in totals)
    bars = tuple(_bar(basis, one, high) for one in totals)
    names = tuple(w.name(one.name) for one in totals)
    unit = totals[0].unit
    lows = tuple(max(one.interval.lower, 0.0) for one in totals)
    highs = tuple(one.interval.upper for one in totals)
    estimates = tuple(one.interval.estimate for one in totals)

    def course(name: str, values: tuple[float, ...], role: Role, part: str) -> Series:
        sources = tuple(f"impact of cause {one.name} net_revenue {part}" for one in totals)
        return Series(name, names, values, unit, role, sources, METHOD)

    series = (
        course(w("estimate"), estimates, "bar", PARTS[0]),
        course(w("low_end"), lows, "low", PARTS[1]),
        course(w("high_end"), highs, "high", PARTS[2]),
    )
    return PictureBlock(
        w("costs_by_cause"), w("costs_by_cause_sub"), Bars(w("costs_by_cause"), bars), series,
        span=7,
    )  # fmt: skip


def _bar(basis: Basis, one: Total, high: float) -> Bar:
    w, bounds = basis.words, one.interval
    between = w(
        "between",
        low=w.money(max(bounds.lower, 0.0), one.unit),
        high=w.money(bounds.upper, one.unit),
    )
    return Bar(
        w.name(one.name), w.money(bounds.estimate, one.unit),
        (
            Segment(0.0, bounds.upper / high, "orange", soft=True),
            Segment(0.0, bounds.estimate / high, "orange"),
        ),
        between,
    )  # fmt: skip


def _beside(basis: Basis, level_facts: LevelFacts, span: int) -> Paragraphs:
    """Credits, by contract: money that is owed, not an estimate."""
    w = basis.words
    texts = []
    for name, months in level_facts.settlements.items():
        amount = owed(months)
        if not amount:
            continue
        contract = next(iter(months.values())).contract
        figure = Figure(
            w.money(amount, contract.currency, 2), amount, contract.currency,
            origin=f"sla {name} credits", definition=contracted(contract),
        )  # fmt: skip
        title = contract.fr.title if w.lang == "fr" else contract.title
        texts.append(
            Text(w("owed", customer=contract.customer, credit=figure.text), f"{w.print(title)}.",
                 (figure,))
        )  # fmt: skip
    if not texts:
        texts.append(Text(w("costs_no_credits")))
    texts.append(Text(w("never_summed")))
    return Paragraphs(w("credits_beside"), tuple(texts), span=span)
