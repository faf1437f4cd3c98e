"""What was set for a KPI and a period, and where a value stands against it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cadran.errors import ProjectError, WarehouseError
from cadran.formats import periods

if TYPE_CHECKING:
    import datetime as dt

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card


class Status(StrEnum):
    """Where a value stands against its target."""

    ON_TARGET = "on target"
    NEAR = "near target"
    WARNING = "warning"
    CRITICAL = "critical"
    NONE = "no target"


@dataclass(frozen=True, slots=True)
class Target:
    """What was set for one KPI and one period, with the thresholds on the bad side of it."""

    kpi: str
    grain: str
    start: dt.date
    target: Any
    warning: Any
    critical: Any

    def judge(self, value: Any, direction: str) -> Status:
        """The status of a value; worse than a threshold is what the threshold is called."""
        if value is None or direction not in {"up", "down"}:
            return Status.NONE
        sign = 1 if direction == "up" else -1
        reached = float(value) * sign
        if reached >= float(self.target) * sign:
            return Status.ON_TARGET
        for threshold, status in ((self.critical, Status.CRITICAL), (self.warning, Status.WARNING)):
            if threshold is not None and reached < float(threshold) * sign:
                return status
        return Status.NEAR


def targets(layer: Layer) -> list[Target]:
    """Every target of `kpi_targets`, or of the seed of targets where there is no such model."""
    try:
        nodes = layer.project.dbt_manifest["nodes"].values()
        relations = {
            node["name"]: node["relation_name"]
            for node in nodes
            if node["resource_type"] in {"model", "seed"}
        }
        own = relations.get("target_values", "governance.kpi_targets")
        relation = relations.get("kpi_targets", own)
        rows = layer.warehouse.arrow(
            "select kpi, period_grain, cast(period_start as date) as period_start, target, "
            f"warning, critical from {relation} order by kpi, period_start"
        ).to_pylist()
    except (ProjectError, WarehouseError):
        return []
    return [Target(*row.values()) for row in rows]


def target_of(targets_set: list[Target], card: Card, grain: str, start: dt.date) -> Target | None:
    """The target of the period; for a rate also that of the quarter or year around it.

    A rate that is to be held over a year is to be held in each of its months; an amount is not.
    """
    grains = [grain]
    if card.unit == "%" and grain in periods.GRAINS:
        grains += [g for g in ("quarter", "year") if periods.is_coarser(g, grain)]
    for candidate in grains:
        begin = periods.start_of(start, candidate)
        for target in targets_set:
            if (target.kpi, target.grain, target.start) == (card.name, candidate, begin):
                return target
    return None
