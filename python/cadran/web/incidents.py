"""Incidents as pages show them: a list, and one with what it did to its service and budgets."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.charts import timelines
from cadran.charts.picture import Bar, Bars, Segment
from cadran.core.warehouse.dialects import literal
from cadran.errors import CadranError, UnknownNameError
from cadran.formats import periods
from cadran.insight import costs, service_levels
from cadran.insight.readings import ENDING
from cadran.reliability import incidents as incident_rows
from cadran.reliability import status
from cadran.web import marks, notes

if TYPE_CHECKING:
    from cadran.charts.picture import Plot, Tone
    from cadran.insight.costs import Cost
    from cadran.insight.readings import Reader
    from cadran.insight.wording import Words

_MONTHS, _MOST_MONTHS = 12, 24
_TONES = {"sev1": "bad", "sev2": "near"}
_BEFORE = dt.timedelta(hours=6)  # an earlier deployment is not shown as what came before
_AROUND = dt.timedelta(hours=1), dt.timedelta(hours=2)
_SHOWN_BEFORE = dt.timedelta(hours=2)  # a deployment so long before is on the plots too
_BY_MINUTE = dt.timedelta(hours=8)  # what is longer is drawn by hour
_TRAFFIC, _ERRORS = "request_count", "error_rate"
_MOST_BUDGETS, _MOST_DEPLOYMENTS = 8, 5


@dataclass(frozen=True, slots=True)
class Entry:
    """An incident in words.

    Attributes:
        row: its row.
        service: what it hit.
        severity: in words, with its code.
        tone: of the severity.
        cause: in words.
        duration: until it was restored, or that it runs.
        detected: how long it went unseen.
        worst: the SLO whose month it hurt most, as far as whoever asks may see it.
        used: the share of that month's budget.
        is_over: whether that is more than all of it.
        cost: what it cost; None where that may not be told.
    """

    row: dict[str, Any]
    service: str
    severity: str
    tone: str
    cause: str
    duration: str
    detected: str
    worst: str
    used: str
    is_over: bool
    cost: Cost | None

    @property
    def id(self) -> str:
        """Its name."""
        return str(self.row["incident_id"])


@dataclass(frozen=True, slots=True)
class Step:
    """Something of the course of an incident."""

    at: str
    title: str
    after: str
    text: str
    tone: str


@dataclass(frozen=True, slots=True)
class Saw:
    """What the service saw: plots on one axis of time, each with its title."""

    sub: str
    plots: list[tuple[str, Plot]]


def span(reader: Reader) -> tuple[dt.date, dt.date]:
    """The days that a page of incidents is of: the view's period, else the latest twelve months."""
    view, through = reader.view, reader.last_day()
    if view.start is not None:
        return view.start, periods.last_of(view.start, view.grain)
    start = periods.start_of(through, "month")
    return periods.shifted(start, "month", 1 - _MONTHS), periods.last_of(start, "month")


def months(reader: Reader) -> list[dt.date]:
    """The months in which incidents began, the latest first."""
    rows = service_levels.incidents(reader)
    began = {periods.start_of(row["started_at"].date(), "month") for row in rows}
    return sorted(began, reverse=True)[:_MOST_MONTHS]


def entries(reader: Reader, w: Words, first: dt.date, last: dt.date) -> list[Entry]:
    """The incidents that began on these days, the latest first."""
    names = _slo_names(reader, w)
    impacts = costs.impacts(reader) or {}
    rows = [
        row for row in service_levels.incidents(reader, first) if row["started_at"].date() <= last
    ]
    return [_entry(row, names, impacts, w) for row in rows]


def listing(reader: Reader, w: Words) -> dict[str, Any]:
    """What the list of incidents holds."""
    first, last = span(reader)
    shown = entries(reader, w, first, last)
    longest = max(shown, key=lambda one: one.row["hours_to_restore"] or 0.0, default=None)
    hardest = max(shown, key=lambda one: one.row["worst_consumed_rate"] or 0.0, default=None)
    return {
        "title": w("incidents"),
        "until": reader.last_day(),
        "days": w.days(first, last),
        "months": months(reader),
        "entries": shown,
        "grave": sum(one.row["severity"] == "sev1" for one in shown),
        "longest": longest,
        "hardest": hardest if hardest and hardest.worst else None,
        "has_costs": any(one.cost is not None for one in shown),
        "sees": service_levels.sees_incidents(reader),
    }


def one(reader: Reader, w: Words, incident_id: str) -> dict[str, Any]:
    """What the page of an incident holds.

    Raises:
        UnknownNameError: there is no such incident, or not for whoever asks.
    """
    rows = {row["incident_id"]: row for row in service_levels.incidents(reader)}
    if incident_id not in rows:
        raise UnknownNameError("incident", incident_id, rows)
    row = rows[incident_id]
    deployments = _deployments(reader, row)
    entry = _entry(row, _slo_names(reader, w), costs.impacts(reader) or {}, w)
    return {
        "title": f"{entry.service}{w('colon')}{entry.cause.lower()}",
        "until": reader.last_day(),
        "entry": entry,
        "steps": _steps(row, deployments, entry, w),
        "saw": _saw(reader, row, deployments, entry, w),
        "budgets": _budgets(reader, row, w),
        "acknowledged": w.hours(row["hours_to_acknowledge"]),
        "notes": notes.of_incident(reader, w, incident_id),
    }


def _entry(row: dict[str, Any], names: dict[str, str], impacts: dict[str, Any], w: Words) -> Entry:
    severity, running = str(row["severity"]), row["restored_at"] is None
    used, worst = row["worst_consumed_rate"], names.get(row["worst_slo"], "")
    impact = impacts.get(row["incident_id"])
    return Entry(
        row,
        w.name(row["service"]),
        f"{w.name(severity)}, {severity}",
        _TONES.get(severity, ""),
        w.name(str(row["cause"])),
        w("still_running") if running else w.hours(row["hours_to_restore"]),
        w.hours(row["hours_to_detect"]),
        worst,
        w.share(used, 0 if used is not None and used >= 0.1 else 1) if worst else "–",  # noqa: PLR2004, RUF001 - small shares have a decimal; the dash of none
        bool(worst and used is not None and used > 1),
        None if impact is None else costs.cost_of(impact, w),
    )


def _slo_names(reader: Reader, w: Words) -> dict[str, str]:
    return {
        level.id: f"{level.service}, {level.label}" for level in service_levels.levels(reader, w)
    }


def _deployments(reader: Reader, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The last deployment of the service before it, and the latest until it was restored."""
    began = row["started_at"]
    ended = row["restored_at"] or dt.datetime.combine(reader.last_day(), dt.time.max)
    every = marks.deployments(reader, began - _BEFORE, ended, row["service"])
    before = [one for one in every if one["deployed_at"] < began]
    since = [one for one in every if one["deployed_at"] >= began]
    return [*before[-1:], *since[-_MOST_DEPLOYMENTS:]]


def _steps(
    row: dict[str, Any], deployments: list[dict[str, Any]], entry: Entry, w: Words
) -> list[Step]:
    """From the deployment before it to recovery, each with how long before or after the start."""
    began = row["started_at"]
    timed = []
    for one in deployments:
        at = one["deployed_at"]
        hours = abs((began - at).total_seconds()) / 3600
        after = w("before_it" if at < began else "after_it", time=w.hours(hours))
        failed = w("deployment_failed") if one["is_failed"] else w("deployment_fine")
        timed.append((at, Step(w.clock(at), w("deployed"), after,
                               f"{one['deployment_id']}, {failed}", "ring")))  # fmt: skip
    timed.append((began, Step(w.clock(began), w("starts"), "", entry.cause, "bad")))
    for name, tone in (("detect", "near"), ("acknowledge", "near"), ("restore", "ok")):
        hours = row[f"hours_to_{name}"]
        if hours is None:
            continue
        at = began + dt.timedelta(hours=float(hours))
        timed.append((at, Step(w.clock(at), w(f"{name}_step"), w("after_it", time=w.hours(hours)),
                               w(f"{name}_text"), tone)))  # fmt: skip
    steps = [step for _, step in sorted(timed, key=lambda one: one[0])]
    if row["restored_at"] is None:
        steps.append(Step("", w("still_running"), "", "", "bad"))
    return steps


def _saw(
    reader: Reader,
    row: dict[str, Any],
    deployments: list[dict[str, Any]],
    entry: Entry,
    w: Words,
) -> Saw | None:
    """Traffic and errors of the service from an hour before to two after; None without them."""
    cards = {card.name: card for card in reader.source.kpis if card.name in {_TRAFFIC, _ERRORS}}
    name = status.service_name(reader.source.layer, row["service"])
    dimension = _service_dimension([card.dimensions for card in cards.values()])
    if not cards or name is None or dimension is None:
        return None
    began, ended = row["started_at"], row["restored_at"]
    first = began - _AROUND[0]
    for one in deployments[:1]:
        if began - one["deployed_at"] <= _SHOWN_BEFORE:
            first = min(first, one["deployed_at"] - dt.timedelta(minutes=10))
    first = first.replace(second=0, microsecond=0)
    last = (ended or began + _AROUND[1]) + _AROUND[1]
    grain = "minute" if last - first <= _BY_MINUTE else "hour"
    time = f"metric_time__{grain}"
    cards = {key: card for key, card in cards.items() if grain in card.grains}
    if not cards:
        return None
    try:
        rows = reader.source.rows(
            [*cards], [time], where=[f"{dimension} = {literal(name)}"],
            start=first.date(), end=last.date(),
        )  # fmt: skip
    except ENDING:
        raise
    except CadranError:
        return None
    rows = [one for one in rows if first <= one[time] <= last]
    upright = [(one["deployed_at"], one["deployment_id"]) for one in deployments]
    plots: list[tuple[str, Plot]] = []
    tones: tuple[tuple[str, Tone], ...] = ((_TRAFFIC, "blue"), (_ERRORS, "bad"))
    for key, tone in tones:
        card = cards.get(key)
        if card is None:
            continue
        title = w("requests") if key == _TRAFFIC else w("error_share")
        plots.append(
            (
                title,
                timelines.course(
                    {one[time]: one[key] for one in rows}, first, last,
                    title=f"{title}, {entry.service}", clock=w.clock,
                    unit="%" if card.unit == "%" else "", tone=tone,
                    stretch=(began, ended or last), marks=[] if plots else upright, lang=w.lang,
                ),
            )
        )  # fmt: skip
    return Saw(w(f"by_{grain}", service=entry.service), plots) if rows else None


def _service_dimension(names: list[tuple[str, ...]]) -> str | None:
    """The dimension of all these KPIs that has the names of services."""
    shared = [name for name in (names[0] if names else ()) if all(name in one for one in names)]
    return next((name for name in shared if name.endswith("__service_name")), None)


def _budgets(reader: Reader, row: dict[str, Any], w: Words) -> Bars | None:
    """What the incident took of the month's budget of each objective, the most first."""
    levels = {level.id: level for level in service_levels.levels(reader, w)}
    key = ("budgets", row["incident_id"])
    every = reader.cached(
        key, lambda: incident_rows.budgets(reader.source.layer, row["incident_id"])
    )
    taken = sorted(
        (one for one in every if one["slo_id"] in levels and one["bad_units"] > 0),
        key=lambda one: -(one["consumed_rate"] or 0.0),
    )[:_MOST_BUDGETS]
    if not taken:
        return None
    high = max(1.0, *(float(one["consumed_rate"]) for one in taken)) * 1.02
    bars = []
    for one in taken:
        level, share = levels[one["slo_id"]], float(one["consumed_rate"])
        tone: Tone = "bad" if share > 1 else "blue"
        in_time = level.status.budgeting != "occurrences"
        units = one["bad_units"]
        detail = (
            w("bad_minutes", n=w.number(units, 0 if units == int(units) else 1))
            if in_time
            else w.count("bad_events", int(units))
        )
        bars.append(
            Bar(
                f"{level.service} · {level.label}", w.share(share, 1),
                (Segment(0.0, max(share / high, 0.003), tone),),
                f"{detail}, {w.period(one['month_start'], 'month')}",
                tone="bad" if share > 1 else "ink",
                link=reader.view.link(f"/board/levels/{level.id}",
                                      start=one["month_start"], grain="month") + "#budget",
            )
        )  # fmt: skip
    return Bars(w("budget_taken"), tuple(bars), (1 / high,))
