"""What is to be expected: KPIs at the end of the year, and promises that may be broken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.core.targets import target_of, targets
from cadran.errors import CadranError, NotAllowedError, NotForecastError, NotGovernedError
from cadran.formats import periods
from cadran.insight import forecast, service_levels
from cadran.insight.readings import ENDING
from cadran.insight.risk import breach_probability
from cadran.reports.basis import defined
from cadran.reports.incidents import PARTS
from cadran.reports.levels import aimed
from cadran.reports.pack import Cell, Column, Figure, Notes, Page, Question, Row, Table, Text

if TYPE_CHECKING:
    import datetime as dt

    from cadran.core.targets import Target
    from cadran.insight.forecast import Forecast
    from cadran.insight.service_levels import Level
    from cadran.reports.basis import Basis
    from cadran.reports.pack import State

MONTHS = 12  # closed months of which the next three are drawn
_MOST = 8
_LIKELY = 0.2  # from which probability on a breach is called likely
_STATES: dict[str, State] = {"likely": "ok", "open": "near", "unlikely": "warn", "": ""}


@dataclass(frozen=True, slots=True)
class Expected:
    """A KPI at the end of the year; without a forecast, why."""

    label: str
    forecast: Forecast | None
    target: Target | None
    why: str = ""

    @property
    def outlook(self) -> str:
        """Whether its target is likely, open or unlikely to be reached; empty without one."""
        if self.forecast is None or self.target is None:
            return ""
        card = self.forecast.card
        if card.direction not in {"up", "down"}:
            return ""
        sign = 1 if card.direction == "up" else -1
        goal = float(self.target.target) * sign
        worst, best = sorted((self.forecast.low * sign, self.forecast.high * sign))
        return "likely" if worst >= goal else "unlikely" if best < goal else "open"


@dataclass(frozen=True, slots=True)
class Risk:
    """The probability that an SLO overspends its budget over the next three months."""

    level: Level
    months: int
    overspent: int
    probability: float


def page(basis: Basis) -> Page | None:
    """The outlook; None where there is neither a forecast nor a risk to tell."""
    expected, at_risk = _expected(basis), risks(basis)
    unjudged = len(_levels(basis)) - len(at_risk)
    if not any(one.forecast for one in expected) and not at_risk:
        return None
    w = basis.words
    blocks: list[Any] = []
    if any(one.forecast for one in expected):
        blocks.append(_forecasts(basis, expected))
    if at_risk:
        blocks.append(_risks(basis, at_risk))
    through = max(
        (one.forecast.evidence.complete_through or basis.window.last for one in expected
         if one.forecast), default=basis.window.last,
    )  # fmt: skip
    blocks.append(Notes((Text(w("outlook_read")),)))
    return Page(
        "outlook", "7", w("outlook_page"), _title(basis, expected, at_risk, unjudged),
        _subtitle(basis, expected, through, unjudged), tuple(blocks), w("foot_outlook"),
    )  # fmt: skip


def _expected(basis: Basis) -> list[Expected]:
    """Each strategic KPI at the end of the year that is running in the data."""
    every = targets(basis.source.layer)
    expected = []
    for card in basis.cards:
        label = basis.words.label(card)
        try:
            one = forecast.to_end(basis.source, card.name, "year")
        except ENDING:
            raise
        except CadranError as problem:
            expected.append(Expected(label, None, None, basis.words(_why(problem))))
            continue
        if one.period.start.year - basis.window.last.year not in (0, 1):
            return []  # the period is long gone: what comes now is no outlook of it
        target = (
            target_of(every, card, "year", one.period.start)
            if basis.reader.whole(card.name)
            else None
        )
        expected.append(Expected(label, one, target))
    return expected


def _why(problem: CadranError) -> str:
    """The key of the words for why a KPI has no forecast."""
    if isinstance(problem, NotForecastError):
        return f"no_forecast_{problem.reason}"
    if isinstance(problem, NotAllowedError):  # a day rests on too few observations to be shown
        return "no_forecast_hidden"
    return "no_forecast_grain" if isinstance(problem, NotGovernedError) else "no_forecast"


def _levels(basis: Basis) -> list[Level]:
    levels = service_levels.levels(basis.reader, basis.words)
    return [one for one in levels if not one.status.is_composite]


def risks(basis: Basis) -> list[Risk]:
    """What may break over the next three months, the most likely first."""
    levels = _levels(basis)
    rows = service_levels.months_of(basis.reader, [one.id for one in levels]) if levels else []
    last = basis.window.last
    at_risk = []
    for level in levels:
        months = [
            row for row in rows
            if row["slo_id"] == level.id
            and periods.last_of(row["period_start"], "month") <= min(last, row["last_date"])
        ][-MONTHS:]  # fmt: skip
        chance = breach_probability(
            [row["bad_units"] for row in months], [row["allowed_units"] for row in months]
        )
        if chance is not None:
            over = sum((row["consumed_rate"] or 0) > 1 for row in months)
            at_risk.append(Risk(level, len(months), over, chance))
    return sorted(at_risk, key=lambda one: (-one.probability, one.level.id))


def _forecasts(basis: Basis, expected: list[Expected]) -> Table:
    w = basis.words
    year = next(one.forecast.period.start.year for one in expected if one.forecast)
    columns = (
        Column(w("kpi"), 66), Column(w("so_far"), 36, "right"), Column(w("forecast"), 36, "right"),
        Column(w("interval_90"), 50, "right"), Column(w("target_year", year=year), 36, "right"),
        Column(w("prospect"), 45),
    )  # fmt: skip
    rows = tuple(_forecast(basis, one) for one in expected)
    return Table(w("forecast_title", year=year), w("forecast_sub"), columns, rows, is_dense=True)


def _forecast(basis: Basis, one: Expected) -> Row:
    w = basis.words
    dash = Cell(w("none_sign"), weight="muted")
    if one.forecast is None:
        return Row((Cell(one.label, weight="strong"), dash, dash, dash, dash,
                    Cell(one.why, weight="muted")))  # fmt: skip
    found, card = one.forecast, one.forecast.card
    through = found.evidence.complete_through
    question = Question(card.name, found.period.start, through) if through else None
    so_far = Figure(w.value(found.so_far, card), found.so_far, card.unit, question)
    year = found.period.start.year
    figures = [
        Figure(w.value(value, card), value, card.unit,
               origin=f"forecast {card.name} {year} {part}",
               definition=f"{defined(card)}, {found.method}")
        for part, value in zip(PARTS, (found.value, found.low, found.high), strict=True)
    ]  # fmt: skip
    target = Cell(w("none_sign"), weight="muted")
    if one.target is not None:
        goal = one.target.target
        target = Cell(
            figure=Figure(w.value(goal, card), goal, card.unit,
                          origin=f"target {card.name} {year}", definition=f"target {goal}")
        )  # fmt: skip
    outlook = one.outlook
    state = _STATES[outlook]
    return Row((
        Cell(one.label, weight="strong"),
        Cell(figure=so_far),
        Cell(figure=figures[0], weight="strong"),
        Cell(w("between", low=figures[1].text, high=figures[2].text),
             small_figures=(figures[1], figures[2])),
        target,
        Cell(w(f"prospect_{outlook}"), state=state, has_sign=True, weight="strong")
        if outlook else Cell(w("state_none"), weight="muted"),
    ))  # fmt: skip


def _risks(basis: Basis, at_risk: list[Risk]) -> Table:
    w = basis.words
    columns = (
        Column(w("objective_of_service"), 114), Column(w("target_name"), 40, "right"),
        Column(w("months_known"), 35, "right"), Column(w("months_over"), 40, "right"),
        Column(w("probability"), 40, "right"),
    )  # fmt: skip
    rows = []
    for one in at_risk[:_MOST]:
        chance = _risk(basis, one)
        months, over = (
            Figure(w.number(count), count, "months", origin=f"risk {one.level.id} {part}",
                   definition=aimed(one.level))
            for part, count in (("months", one.months), ("overspent", one.overspent))
        )  # fmt: skip
        is_likely = one.probability >= _LIKELY
        rows.append(
            Row((
                Cell(one.level.title, weight="strong"),
                Cell(one.level.target),
                Cell(figure=months),
                Cell(figure=over, weight="plain" if one.overspent else "muted"),
                Cell(figure=chance, state="warn" if is_likely else "",
                     weight="strong" if is_likely else "plain"),
            ))
        )  # fmt: skip
    more = len(at_risk) - len(rows)
    sub = w.counted("risks_sub", more) if more else w("risks_sub_all")
    return Table(w("risks_title"), sub, columns, tuple(rows), is_dense=True)


def _risk(basis: Basis, one: Risk) -> Figure:
    return Figure(_chance(basis, one.probability), one.probability, "%",
                  origin=f"risk {one.level.id}", definition=aimed(one.level))  # fmt: skip


def _chance(basis: Basis, probability: float) -> str:
    """A probability without false precision: below 1 % and above 99 % it says so."""
    w = basis.words
    if 0 <= probability < 0.01:  # noqa: PLR2004 - one in a hundred
        return w("below", value=w.share(0.01))
    if probability > 0.99:  # noqa: PLR2004 - ninety-nine in a hundred
        return w("above", value=w.share(0.99))
    return w.share(probability)


def _title(basis: Basis, expected: list[Expected], at_risk: list[Risk], unjudged: int) -> Text:
    w = basis.words
    judged = [one for one in expected if one.outlook]
    parts = []
    if judged:
        good = sum(one.outlook == "likely" for one in judged)
        parts.append(w.counted("year_likely", good, total=len(judged)))
    figures = []
    if at_risk:
        first = at_risk[0]
        chance = _risk(basis, first)
        name = w.objective(first.level)
        if first.probability >= _LIKELY:
            parts.append(w("risk_first", slo=name, chance=chance.text))
            figures.append(chance)
        else:
            some = "_some" if unjudged else ""
            parts.append(w(f"risk_low{some}", chance=w.share(_LIKELY)))
    if not parts:
        parts.append(w("outlook_plain"))
    return Text(f"{w.sentence(w.clauses(parts))}.", "", tuple(figures))


def _subtitle(basis: Basis, expected: list[Expected], through: dt.date, unjudged: int) -> Text:
    w = basis.words
    parts = [w("forecast_from", day=w.date(through))]
    unlikely = [w.inner(one.label) for one in expected if one.outlook == "unlikely"]
    if unlikely:
        parts.append(w("unlikely_told", names=w.listed(unlikely)))
    if unjudged:
        parts.append(w.sentence(w.counted("history_short", unjudged)))
    return Text(" ".join(parts))
