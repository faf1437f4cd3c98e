"""What an incident cost: orders, revenue, conversion, satisfaction and tickets, each with bounds.

Each outcome is held against what the same hours were to hold (see `counterfactual`), so that it
tells a difference, and only as far as hours are alike but for the incident a consequence. Harm is
positive throughout: orders lost, tickets too many. What was gained back in the hours after is taken
off the loss. Where incidents overlap, each minute is shared among those that share it.

An order counts at the time when its session began, for that is when the incident turned it away;
orders without a session are left out. Money is orders lost times the net revenue of an order around
that time. It is an estimate, and has nothing to do with the credits of a contract.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, get_args

from cadran.errors import QueryError, UnknownNameError
from cadran.insight.counterfactual import Interval, combined
from cadran.insight.harm import OUTCOMES, Effect, Evidence, Ground, Outcome
from cadran.reliability.incidents import incidents

if TYPE_CHECKING:
    import datetime as dt

    from cadran.core.project.calendar import Calendar
    from cadran.insight.source import Source

METHOD = "impact 1"
ADDITIVE: tuple[Outcome, ...] = ("orders", "net_revenue", "tickets")
By = Literal["cause", "service", "month"]
BYS: tuple[By, ...] = get_args(By)


@dataclass(frozen=True, slots=True)
class Impact:
    """What one incident cost.

    Attributes:
        incident: its row, as `reliability.incidents` has it.
        effects: by outcome.
        absent: outcomes of which nothing can be said, and why.
        shared_with: incidents that overlap with it, with which it shares what was lost.
        method: version of the method.
    """

    incident: dict[str, Any]
    effects: dict[Outcome, Effect]
    absent: dict[Outcome, str]
    shared_with: tuple[str, ...]
    method: str = METHOD

    @property
    def incident_id(self) -> str:
        """Which incident."""
        return str(self.incident["incident_id"])

    def to_rows(self) -> list[dict[str, Any]]:
        """One row an outcome, for JSON and CSV."""
        about = {
            name: self.incident[name]
            for name in ("incident_id", "service", "severity", "cause", "started_at", "restored_at")
        }
        rows = []
        for outcome in OUTCOMES:
            effect = self.effects.get(outcome)
            numbers = _numbers(outcome, effect.interval if effect else None)
            numbers |= {
                name: _exact(outcome, getattr(effect, name, None))
                for name in ("expected", "actual", "rebound")
            }
            evidence = {
                name: getattr(effect.evidence, name) if effect else None
                for name in Evidence.__slots__
            }
            is_measurable = effect.is_measurable if effect else None
            rows.append(
                {**about, "outcome": outcome, **numbers, "is_measurable": is_measurable, **evidence,
                 "shared_with": ", ".join(self.shared_with), "note": self.absent.get(outcome, ""),
                 "method": self.method}
            )  # fmt: skip
        return rows


@dataclass(frozen=True, slots=True)
class Total:
    """What the incidents of one cause, service or month cost together.

    Attributes:
        name: of the cause or service, or the first day of the month; "all" for all.
        outcome: which; only those that can be summed.
        incidents: how many of them are in the sum.
        unit: of the sum.
        interval: harm with its bounds of 90 %, found by drawing the errors of each apart.
    """

    name: str
    outcome: Outcome
    incidents: int
    unit: str
    interval: Interval = field(repr=False)

    @property
    def is_measurable(self) -> bool:
        """Whether there was harm beyond what chance would do."""
        return self.interval.lower > 0


@dataclass(frozen=True, slots=True)
class Impacts:
    """What several incidents cost, by their start."""

    impacts: tuple[Impact, ...]

    def totals(self, by: By | None = None) -> list[Total]:
        """Sums by cause, service or month (of the start, local); the dearest in orders first.

        Args:
            by: None for the sum over all.
        """
        groups: defaultdict[str, list[Impact]] = defaultdict(list)
        for impact in self.impacts:
            groups[_group(impact, by)].append(impact)
        totals = []
        for name, members in groups.items():
            for outcome in ADDITIVE:
                parts = [m.effects[outcome] for m in members if outcome in m.effects]
                if parts:
                    bounds = combined(part.interval for part in parts)
                    totals.append(Total(name, outcome, len(parts), parts[0].unit, bounds))
        place = {
            name: index if by == "month" else -_orders(totals, name)
            for index, name in enumerate(sorted(groups))
        }
        return sorted(totals, key=lambda t: (place[t.name], t.name, ADDITIVE.index(t.outcome)))

    def to_rows(self, by: By | None = None) -> list[dict[str, Any]]:
        """One row an incident and outcome; with `by`, one a group and outcome."""
        if by is None:
            return [row for impact in self.impacts for row in impact.to_rows()]
        return [
            {by: total.name, "outcome": total.outcome, "incidents": total.incidents,
             **_numbers(total.outcome, total.interval), "is_measurable": total.is_measurable,
             "method": METHOD}
            for total in self.totals(by)
        ]  # fmt: skip


def of_incident(source: Source, incident_id: str, *, calendar: Calendar | None = None) -> Impact:
    """What one incident cost.

    Args:
        source: where numbers come from.
        incident_id: which.
        calendar: holidays and promotions; by default those of `cadran_calendar.yml`.

    Raises:
        UnknownNameError: there is no such incident.
        CadranError: whoever asks may not see incidents.
    """
    rows = _incidents(source)
    row = next((row for row in rows if row["incident_id"] == incident_id), None)
    if row is None:
        raise UnknownNameError("incident", incident_id, [row["incident_id"] for row in rows])
    return _impact(Ground(source, rows, calendar), row)


def of_all(
    source: Source,
    start: dt.date | None = None,
    end: dt.date | None = None,
    *,
    calendar: Calendar | None = None,
) -> Impacts:
    """What every incident cost.

    Args:
        source: where numbers come from.
        start: only those that began on this day (UTC) or later.
        end: only those that began on this day or before.
        calendar: holidays and promotions; by default those of `cadran_calendar.yml`.

    Raises:
        CadranError: whoever asks may not see incidents.
    """
    rows = _incidents(source)
    ground = Ground(source, rows, calendar)
    return Impacts(
        tuple(
            _impact(ground, row)
            for row in rows
            if (start is None or row["started_at"].date() >= start)
            and (end is None or row["started_at"].date() <= end)
        )
    )


def rows(
    source: Source,
    incident_id: str | None = None,
    by: By | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
) -> list[dict[str, Any]]:
    """What one incident cost, or every one, or their sums by something, as plain values.

    Raises:
        QueryError: one incident is asked together with what chooses among several.
        CadranError: as `of_incident`.
    """
    if incident_id is None:
        return of_all(source, start, end).to_rows(by)
    if by or start or end:
        raise QueryError(
            f"{incident_id} is one incident: leave out by, start and end, or the incident."
        )
    return of_incident(source, incident_id).to_rows()


def _impact(ground: Ground, row: dict[str, Any]) -> Impact:
    effects, absent = ground.effects(row)
    return Impact(row, effects, absent, ground.overlapping(row))


def _incidents(source: Source) -> list[dict[str, Any]]:
    # The list is read past the door, so the door says first whether incidents may be asked about.
    source.ask(["incident_count"], ["metric_time__year"], limit=1)
    return incidents(source.layer)


def _numbers(outcome: Outcome, bounds: Interval | None) -> dict[str, Any]:
    """Estimate and bounds as they are handed out."""
    return {
        name: _exact(outcome, getattr(bounds, name, None))
        for name in ("estimate", "lower", "upper")
    }


def _exact(outcome: Outcome, value: float | None) -> Decimal | None:
    """A number as it is handed out: money in cents, a rate as a fraction."""
    places = 2 if outcome == "net_revenue" else 6
    return None if value is None else Decimal(f"{value:.{places}f}")


def _group(impact: Impact, by: By | None) -> str:
    if by is None:
        return "all"
    if by == "month":
        return f"{impact.incident['started_at']:%Y-%m-01}"
    return str(impact.incident[by])


def _orders(totals: list[Total], name: str) -> float:
    return sum(t.interval.estimate for t in totals if t.name == name and t.outcome == "orders")
