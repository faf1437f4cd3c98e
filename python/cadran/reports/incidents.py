"""Incidents: how many, how long until they are seen, taken up and over; the costly, the causes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.errors import CadranError
from cadran.formats import periods
from cadran.insight import costs, impact, service_levels
from cadran.insight.impact import Impacts
from cadran.insight.readings import ENDING
from cadran.reports.pack import (
    Cell,
    Column,
    Figure,
    Notes,
    Page,
    Question,
    Row,
    Table,
    Text,
)

if TYPE_CHECKING:
    import datetime as dt

    from cadran.insight.impact import Impact
    from cadran.reports.basis import Basis
    from cadran.reports.pack import Block, State

COUNT, SEVERITY, CAUSE = "incident_count", "incident__severity", "incident__cause"
STEPS = ("detect", "acknowledge", "restore")
PARTS = ("estimate", "low", "high")  # of an estimate with its interval
FEW = 10  # incidents, below which a p90 is only a hint
_MOST_SHOWN, _MOST_CAUSES = 6, 6
_STATES: dict[str, State] = {"sev1": "bad", "sev2": "warn"}


@dataclass(frozen=True, slots=True)
class IncidentFacts:
    """What is known of incidents.

    Attributes:
        sees: whether whoever asks may be told of incidents at all.
        rows: those of the period, as `reliability.incidents` has them.
        count: how many the KPI counts in the period.
        before: how many in the period before; None where it is not known.
        year: the first and the last day of the twelve months that delays are told of.
        delays: rows of counts and delays over these, by severity; None is all together.
        causes: how many incidents each cause had over these.
        impacts: what those of the period cost; None where that may not be told.
    """

    sees: bool
    rows: tuple[dict[str, Any], ...]
    count: int | None
    before: int | None
    year: tuple[dt.date, dt.date]
    delays: dict[str | None, dict[str, Any]]
    causes: dict[str, int]
    impacts: Impacts | None


def facts(basis: Basis) -> IncidentFacts:
    """What is known of the incidents of a pack's period."""
    reader, window = basis.reader, basis.window
    first = periods.shifted(periods.start_of(window.last, "month"), "month", -11)
    year = (first, window.last)
    sees = basis.source.sees(COUNT) and service_levels.sees_incidents(reader)
    if not sees:
        return IncidentFacts(False, (), None, None, year, {}, {}, None)  # noqa: FBT003 - it sees none
    rows = tuple(
        row for row in reversed(service_levels.incidents(reader, window.first))
        if row["started_at"].date() <= window.last
    )  # fmt: skip
    names = [COUNT] + [
        name for step in STEPS for part in ("median", "p90")
        if basis.source.sees(name := f"hours_to_{step}_{part}")
    ]  # fmt: skip
    every = _rows(basis, names, [], year)
    by_severity = _rows(basis, names, [SEVERITY], year)
    delays: dict[str | None, dict[str, Any]] = {
        row[SEVERITY]: row for row in by_severity if row[SEVERITY] is not None
    }
    if every and every[0][COUNT]:
        delays[None] = every[0]
    now = _rows(basis, [COUNT], [], (window.first, window.last))
    earlier = reader.compared("previous").readings([reader.card(COUNT)], history=1)[0]
    before = earlier.base
    return IncidentFacts(
        True, rows, int(now[0][COUNT] or 0) if now else 0, None if before is None else int(before),  # noqa: FBT003 - it sees them
        year, delays,
        {str(row[CAUSE]): int(row[COUNT]) for row in _rows(basis, [COUNT], [CAUSE], year)},
        estimates(basis),
    )  # fmt: skip


def estimates(basis: Basis) -> Impacts | None:
    """What the incidents of the period cost; None where that may not be told or is not known."""
    if not costs.may_be_told(basis.reader):
        return None
    days = basis.window.first, basis.window.last
    try:
        every = basis.reader.cached_for(
            ("impacts", *days), lambda: impact.of_all(basis.source, *days)
        )
        return Impacts(tuple(o for o in every.impacts if o.incident["origin"] == "reported"))
    except ENDING:
        raise
    except CadranError:
        return None


def _rows(
    basis: Basis, names: list[str], by: list[str], days: tuple[dt.date, dt.date]
) -> list[dict[str, Any]]:
    try:
        return basis.source.rows(names, by, start=days[0], end=days[1])
    except ENDING:
        raise
    except CadranError:
        return []


def page(basis: Basis, facts: IncidentFacts) -> Page | None:
    """The incidents; None where whoever asks may not be told of them, or there never was one."""
    if not facts.sees or not (facts.rows or facts.delays):
        return None
    w = basis.words
    blocks: list[Block] = []
    if facts.delays:
        blocks.append(_delays(basis, facts))
    if facts.rows:
        blocks.append(_list(basis, facts))
    if facts.causes:
        blocks.append(_causes(basis, facts))
    if any(int(row[COUNT] or 0) < FEW for row in facts.delays.values()):
        blocks.append(Notes((Text(w("few_incidents", n=w.number(FEW))),)))
    return Page(
        "incidents", "4", w("incidents_page"), _title(basis, facts), _subtitle(basis, facts),
        tuple(blocks), w("foot_incidents", zone=w.zone),
    )  # fmt: skip


def _delays(basis: Basis, facts: IncidentFacts) -> Table:
    w = basis.words
    columns = [Column(w("severity"), 53), Column(w("number_short"), 18, "right")]
    columns += [
        Column(w(f"{step}_{part}"), 33, "right") for step in STEPS for part in ("median", "p90")
    ]
    rows = []
    for severity in sorted(facts.delays, key=lambda name: (name is None, name or "")):
        row = facts.delays[severity]
        count = int(row[COUNT] or 0)
        name = w("all_severities") if severity is None else w.sentence(w.name(severity))
        inside = sum(1 for one in facts.rows if severity in (None, one["severity"]))
        known = Figure(w.number(inside), inside, "incidents",
                       origin=f"incidents of severity {severity or 'any'}")  # fmt: skip
        cells = [
            Cell(
                name,
                small=w("within_period", n=known.text),
                small_figures=(known,),
                weight="strong",
            ),
            Cell(figure=_figure(basis, facts, COUNT, severity, count, w.number(count))),
        ]
        for step in STEPS:
            for part in ("median", "p90"):
                metric = f"hours_to_{step}_{part}"
                value = row.get(metric)
                few = part == "p90" and count < FEW and value is not None
                text = w.hours(value) + ("\N{NO-BREAK SPACE}†" if few else "")
                cells.append(
                    Cell(
                        figure=_figure(basis, facts, metric, severity, value, text),
                        weight="muted" if few else "strong" if part == "median" else "plain",
                    )
                )
        rows.append(Row(tuple(cells), "total" if severity is None else "body"))
    sub = w("delays_sub", days=w.days(*facts.year))
    return Table(w("delays"), sub, tuple(columns), tuple(rows), is_dense=True)


def _figure(  # noqa: PLR0913, PLR0917 - a figure in its parts
    basis: Basis, facts: IncidentFacts, metric: str, severity: str | None, value: Any, text: str
) -> Figure:
    unit = basis.reader.card(metric).unit
    question = Question(
        metric, *facts.year, dimension=SEVERITY if severity else "", member=severity
    )
    return Figure(text, value, unit, question if value is not None else None)


def _list(basis: Basis, facts: IncidentFacts) -> Table:
    """The costliest first; those without an estimate by how long they lasted."""
    w = basis.words
    of_incident = {one.incident_id: one for one in facts.impacts.impacts} if facts.impacts else {}

    ordered = sorted(
        facts.rows,
        key=lambda row: (
            *by_loss(of_incident.get(row["incident_id"])), -float(row["hours_to_restore"] or 1e9),
        ),
    )  # fmt: skip
    columns = (
        Column(w("began"), 31), Column(w("service_cause"), 66), Column(w("detect"), 20, "right"),
        Column(w("duration"), 24, "right"), Column(w("budget_taken_short"), 34, "right"),
    )  # fmt: skip
    rows = tuple(_incident(basis, row) for row in ordered[:_MOST_SHOWN])
    more = len(facts.rows) - len(rows)
    sub = w.counted("costly_sub", more) if more > 0 else w("costly_sub_all")
    return Table(w("costly"), sub, columns, rows, span=8, is_dense=True)


def _incident(basis: Basis, row: dict[str, Any]) -> Row:
    w = basis.words
    severity = str(row["severity"])
    used = row["worst_consumed_rate"]
    origin = f"incident {row['incident_id']}"
    share = Cell(w("none_sign"), weight="muted")
    if used is not None:
        text = w.share(used, 0 if used >= 0.1 else 1)  # noqa: PLR2004 - small shares have a decimal
        figure = Figure(text, used, "%", origin=f"{origin} worst_consumed_rate")
        share = Cell(figure=figure, state="bad" if used > 1 else "")
    restore = row["hours_to_restore"]
    lasted = w("still_running") if row["restored_at"] is None else w.hours(restore)
    return Row((
        Cell(w.day(w.local(row["started_at"]), year=False), small=w.clock(row["started_at"]),
             weight="strong"),
        Cell(w.name(row["service"]), small=f"{w.name(str(row['cause']))} · {w.name(severity)}",
             weight="strong"),
        Cell(figure=Figure(w.hours(row["hours_to_detect"]), row["hours_to_detect"], "hours",
                           origin=f"{origin} hours_to_detect")),
        Cell(figure=Figure(lasted, restore, "hours", origin=f"{origin} hours_to_restore")),
        share,
    ))  # fmt: skip


def _causes(basis: Basis, facts: IncidentFacts) -> Table:
    w = basis.words
    inside: dict[str, int] = {}
    for row in facts.rows:
        inside[str(row["cause"])] = inside.get(str(row["cause"]), 0) + 1
    ordered = sorted(facts.causes, key=lambda name: (-facts.causes[name], name))[:_MOST_CAUSES]
    rows = []
    for name in ordered:
        question = Question(COUNT, *facts.year, dimension=CAUSE, member=name)
        count = facts.causes[name]
        figure = Figure(w.number(count), count, "incidents", question)
        rows.append(
            Row((
                Cell(w.name(name), weight="strong" if count > 1 else "plain"),
                Cell(figure=figure, weight="strong" if count > 1 else "plain"),
                Cell(
                    figure=Figure(w.number(inside.get(name, 0)), inside.get(name, 0), "incidents",
                                  origin=f"incidents of cause {name}"),
                    weight="plain" if inside.get(name) else "muted",
                ),
            ))
        )  # fmt: skip
    width = 4 * 17.8333 + 3 * 5
    columns = (
        Column(w("cause"), width - 44), Column(w("twelve_months"), 22, "right"),
        Column(w("of_period"), 22, "right"),
    )  # fmt: skip
    return Table(w("causes"), "", columns, tuple(rows), span=4, is_dense=True)


def _title(basis: Basis, facts: IncidentFacts) -> Text:
    w = basis.words
    count = facts.count or 0
    figure = Figure(
        w.spelled(count), count, "incidents",
        Question(COUNT, basis.window.first, basis.window.last) if count else None,
        origin="" if count else "incidents",
    )  # fmt: skip
    text = w.sentence(w.counted("incidents_said", count))
    figures = [figure]
    if facts.before is not None and not basis.window.is_running:
        start = periods.shifted(basis.start, basis.grain, -1)
        name = w.short_period(start, basis.grain)
        question = Question(COUNT, start, periods.last_of(start, basis.grain))
        figures.append(Figure(w.number(facts.before), facts.before, "incidents", question))
        text += w(f"against_{basis.grain}", n=figures[-1].text, period=name)
    every = facts.delays.get(None, {})
    median = every.get("hours_to_restore_median")
    if median is None:
        return Text(f"{text}.", "", tuple(figures))
    restore = _figure(basis, facts, "hours_to_restore_median", None, median, w.hours(median))
    return Text(text + w("median_restore", time=restore.text), "", (*figures, restore))


def _subtitle(basis: Basis, facts: IncidentFacts) -> Text:
    w = basis.words
    parts = []
    running = [row for row in facts.rows if row["restored_at"] is None]
    if running:
        parts.append(w.sentence(w.counted("still_open", len(running))))
    grave = sum(row["severity"] == "sev1" for row in facts.rows)
    if facts.rows:
        parts.append(w.sentence(w.counted("grave", grave)))
    repeated = {name: n for name, n in facts.causes.items() if n > 1}
    if repeated:
        most = max(repeated.values())
        names = [w.inner(w.name(one)) for one in sorted(repeated) if repeated[one] == most]
        parts.append(
            w.counted("repeated_cause", len(names), names=w.listed(names), count=w.number(most))
        )
    return Text(" ".join(parts))


def verdict(basis: Basis, facts: IncidentFacts, credits_: list[Figure]) -> Text | None:
    """The incidents of the period in a few words, for the summary."""
    if not facts.sees or facts.count is None:
        return None
    w = basis.words
    lead = w.sentence(w.counted("incidents", facts.count))
    parts, figures = [], []
    loss = loss_of(basis, facts)
    if facts.rows and loss is not None and loss[1].value <= 0:
        parts.append(w("loss_none_told", high=loss[2].text))
        figures.append(loss[2])
    elif facts.rows and loss is not None:
        parts.append(w("loss_told", loss=loss[0].text, low=loss[1].text, high=loss[2].text))
        figures += loss
    if credits_:
        parts.append(w("credits_told", credits=w.listed([one.text for one in credits_])))
        figures += credits_
    return Text(" ".join(parts), lead, tuple(figures)) if parts or not facts.rows else None


def loss_of(basis: Basis, facts: IncidentFacts) -> list[Figure] | None:
    """Revenue lost by the incidents of the period with its bounds; None without an estimate."""
    if not facts.impacts:
        return None
    total = next((t for t in facts.impacts.totals() if t.outcome == "net_revenue"), None)
    if total is None:
        return None
    w, bounds = basis.words, total.interval
    values = (bounds.estimate, max(bounds.lower, 0.0), max(bounds.upper, 0.0))
    return [
        Figure(w.money(value, total.unit), value, total.unit,
               origin=f"impact of all net_revenue {part}", definition=impact.METHOD)
        for part, value in zip(PARTS, values, strict=True)
    ]  # fmt: skip


def by_loss(one: Impact | None) -> tuple[bool, float]:
    """The place of an incident by the revenue it cost, what is no measurable loss last."""
    effect = one.effects.get("net_revenue") if one is not None else None
    if effect is None:
        return True, 0.0
    return not effect.is_measurable, -effect.interval.estimate
