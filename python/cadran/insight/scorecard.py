"""The KPI board: for each KPI the latest complete period, its changes, its target, its status.

Every number comes from `Layer.query`; here they are only set side by side.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.core.targets import Status, Target, target_of, targets
from cadran.errors import CadranError, ProjectError, QueryError, WarehouseError
from cadran.formats import periods

if TYPE_CHECKING:
    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.core.result import Break

SHOWN = 12


@dataclass(frozen=True, slots=True)
class Row:
    """One KPI of the board; `history` ends with the value of the period shown.

    Attributes:
        breaks: where its meaning changed within what is compared here.
        complete_through: the last day that is whole in its sources; None where they are empty.
    """

    card: Card
    value: Any
    previous: Any
    year_before: Any
    history: tuple[Any, ...]
    target: Target | None
    status: Status
    breaks: tuple[Break, ...] = ()
    complete_through: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """The board at one grain: its period, its rows, and the KPIs that could not be asked."""

    grain: str
    period: dt.date
    last_day: dt.date
    rows: tuple[Row, ...]
    failures: dict[str, str]

    def to_rows(self, lang: str = "en") -> list[dict[str, Any]]:
        """The rows as plain values, for JSON and CSV."""
        return [
            {
                "name": row.card.name,
                "label": row.card.localized(lang).label,
                "tier": row.card.tier,
                "grain": self.grain,
                "period": self.period,
                "value": row.value,
                "unit": row.card.unit,
                "previous": row.previous,
                "year_before": row.year_before,
                "target": row.target.target if row.target else None,
                "warning": row.target.warning if row.target else None,
                "critical": row.target.critical if row.target else None,
                "status": row.status.value,
                "history": list(row.history),
                "owner": row.card.owner.business,
                "breaks": [str(change) for change in row.breaks],
                "complete_through": row.complete_through,
            }
            for row in self.rows
        ]


def make(layer: Layer, grain: str = "month", kpis: list[str] | None = None) -> Board:
    """The board of all KPIs that have the grain on their card, strategic ones first.

    Raises:
        QueryError: no KPI is asked at this grain.
        WarehouseError: the warehouse cannot be read.
    """
    candidates = layer.kpis() if kpis is None else [layer.card(name) for name in kpis]
    cards = [card for card in candidates if grain in card.grains]
    if not cards:
        raise QueryError(layer.without_kpis or f"No KPI is asked by {grain}.")
    days = {card.name: _complete_through(layer, card.name) for card in cards}
    until = min(layer.last_day(), max(filter(None, days.values()), default=dt.date.max))
    latest = periods.last_complete(until, grain)
    before = periods.year_before(latest, grain)
    first = min(periods.shifted(latest, grain, 1 - SHOWN), before)
    breaks: list[Break] = []
    names = [card.name for card in cards]
    by_start, failures = values_of(layer, names, grain, first, latest, breaks=breaks)
    targets_set = targets(layer)
    starts = [periods.shifted(latest, grain, back) for back in range(1 - SHOWN, 1)]
    rows = []
    for card in cards:
        if card.name in failures:
            continue
        series = {start: values.get(card.name) for start, values in by_start.items()}
        value = series.get(latest)
        target = target_of(targets_set, card, grain, latest)
        rows.append(
            Row(
                card=card,
                value=value,
                previous=series.get(periods.shifted(latest, grain, -1)),
                year_before=series.get(before),
                history=tuple(series.get(start) for start in starts),
                target=target,
                status=target.judge(value, card.direction) if target else Status.NONE,
                breaks=tuple(change for change in breaks if change.kpi == card.name),
                complete_through=days[card.name],
            )
        )
    return Board(grain, latest, until, tuple(rows), failures)


def objectives(layer: Layer) -> list[dict[str, Any]]:
    """Key, labels, descriptions and owner of each objective that the KPIs serve."""
    relation = "governance.objectives"
    try:
        for node in layer.project.dbt_manifest["nodes"].values():
            if node["resource_type"] == "model" and node["name"] == "objectives":
                relation = node["relation_name"]
        sql = (
            "select objective, label_en, label_fr, description_en, description_fr, owner"
            f" from {relation}"
        )
        rows: list[dict[str, Any]] = layer.warehouse.arrow(sql).to_pylist()
    except (ProjectError, WarehouseError):
        rows = []
    names = {row["objective"] for row in rows}
    for card in layer.kpis():
        if card.objective not in names:
            names.add(card.objective)
            words = card.objective.replace("_", " ").capitalize()
            rows.append(
                {"objective": card.objective, "label_en": words, "label_fr": words,
                 "description_en": "", "description_fr": "", "owner": ""}
            )  # fmt: skip
    return rows


def _complete_through(layer: Layer, kpi: str) -> dt.date | None:
    try:
        return layer.complete_through(kpi)
    except CadranError:
        return None  # what cannot be asked is told when its values are


def values_of(  # noqa: PLR0913 - what is asked, and where breaks are told
    layer: Layer,
    names: list[str],
    grain: str,
    first: dt.date,
    latest: dt.date,
    *,
    breaks: list[Break] | None = None,
) -> tuple[dict[dt.date, dict[str, Any]], dict[str, str]]:
    """Values by period, all KPIs in one question; one by one only where that fails.

    Args:
        layer: the layer.
        names: the KPIs.
        grain: of the periods.
        first: start of the first period.
        latest: start of the last one.
        breaks: is given the breaks within the answers.
    """
    end = periods.last_of(latest, grain)
    group_by = f"metric_time__{grain}"
    by_start: dict[dt.date, dict[str, Any]] = {}
    failures: dict[str, str] = {}
    groups = [names]
    while groups:
        group = groups.pop()
        try:
            result = layer.query(group, group_by, start=first, end=end, ordered=False)
            answer = result.to_arrow()
            if breaks is not None:
                breaks += result.breaks
        except CadranError as problem:
            if len(group) == 1:
                failures[group[0]] = str(problem)
            else:
                groups += [[name] for name in group]
            continue
        for row in answer.to_pylist():
            start = row.pop(group_by)
            if start is not None:
                by_start.setdefault(start, {}).update(row)
    return by_start, failures
