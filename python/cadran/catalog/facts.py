"""Everything the catalogue says of each KPI, gathered once for both languages."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cadran import board, lineage, periods, tree, tree_check
from cadran.catalog import freshness, history
from cadran.errors import CadranError, ProjectError, WarehouseError

if TYPE_CHECKING:
    from cadran.cards import Card
    from cadran.catalog.freshness import Freshness
    from cadran.layer import Layer

MONTHS = 25
SAMPLES = 8


@dataclass(slots=True)
class KpiFacts:
    """One KPI: its card, its numbers, where it comes from and who uses it."""

    card: Card
    grain: str
    series: list[dict[str, Any]]
    row: board.Row | None
    targets: list[board.Target]
    sql: str
    origin: lineage.Node | None
    dimensions: list[dict[str, Any]]
    breakdown: list[dict[str, Any]]
    freshness: Freshness | None
    versions: list[history.Version]
    used_by: list[dict[str, str]]
    file: str
    checks: list[tree_check.Check] = field(default_factory=list)

    @property
    def latest(self) -> Any:
        """The value of the latest complete period."""
        return self.row.value if self.row else None


@dataclass(slots=True)
class Facts:
    """The whole catalogue's content."""

    kpis: dict[str, KpiFacts]
    objectives: list[dict[str, Any]]
    tree: tree.Tree
    until: dt.date
    period: dt.date
    made_at: dt.datetime
    project: str
    failures: dict[str, str]


def gather(layer: Layer) -> Facts:
    """Ask the layer for everything.

    Raises:
        CardError: a card is broken.
        WarehouseError: the warehouse cannot be read.
    """
    until = board.last_day(layer)
    now = dt.datetime.now(dt.UTC)
    cards = layer.kpis()
    shown = board.make(layer, "month")
    rows = {row.card.name: row for row in shown.rows}
    series = _series(layer, cards, until)
    wanted = board.targets(layer)
    whole = tree.read(layer)
    checks: dict[str, list[tree_check.Check]] = {}
    for check in tree_check.check(layer, whole):
        checks.setdefault(check.kpi, []).append(check)
    members: dict[str, list[Any]] = {}
    ages = freshness.Newest(layer, now)
    kpis = {}
    for card in cards:
        grain = "month" if "month" in card.grains else card.grains[-1]
        kpis[card.name] = KpiFacts(
            card=card,
            grain=grain,
            series=series.get(card.name, []),
            row=rows.get(card.name),
            targets=[target for target in wanted if target.kpi == card.name],
            sql=layer.sql([card.name], f"metric_time__{grain}"),
            origin=_origin(layer, card.name),
            dimensions=_dimensions(layer, card, members),
            breakdown=_breakdown(layer, card, shown.period),
            freshness=ages.of(card),
            versions=history.versions(layer, card),
            used_by=_used_by(layer, card.name),
            file=layer.project.file_of(card.name),
            checks=checks.get(card.name, []),
        )
    return Facts(
        kpis=kpis,
        objectives=objectives(layer),
        tree=whole,
        until=until,
        period=shown.period,
        made_at=now,
        project=_project(layer),
        failures=shown.failures,
    )


def _series(layer: Layer, cards: list[Card], until: dt.date) -> dict[str, list[dict[str, Any]]]:
    names = [card.name for card in cards if "month" in card.grains]
    latest = periods.last_complete(until, "month")
    first = periods.shifted(latest, "month", 1 - MONTHS)
    found, _ = board.values_of(layer, names, "month", first, latest)
    starts = [periods.shifted(first, "month", step) for step in range(MONTHS)]
    return {
        name: [
            {"metric_time__month": start, name: found[start][name]}
            for start in starts
            if found.get(start, {}).get(name) is not None
        ]
        for name in names
    }


def _origin(layer: Layer, kpi: str) -> lineage.Node | None:
    try:
        return lineage.of_metric(layer.project.dbt_manifest, kpi)
    except (ProjectError, CadranError):
        return None


def _dimensions(layer: Layer, card: Card, members: dict[str, list[Any]]) -> list[dict[str, Any]]:
    known = {one["name"]: one for one in layer.dimensions([card.name])}
    found = []
    for name in card.dimensions:
        if name not in members:
            try:
                members[name] = layer.dimension_values(name, [card.name])
            except CadranError:
                members[name] = []
        values = members[name]
        found.append(
            {
                "name": name,
                "description": known.get(name, {}).get("description", ""),
                "samples": [str(value) for value in values[:SAMPLES]],
                "count": len(values),
            }
        )
    return found


def _breakdown(layer: Layer, card: Card, period: dt.date) -> list[dict[str, Any]]:
    """The latest month by the card's first dimension."""
    if not card.dimensions or "month" not in card.grains:
        return []
    bounds = {"start": period, "end": periods.last_of(period, "month")}
    column = "metric_time__month"
    try:
        answer = layer.query([card.name], [column, card.dimensions[0]], **bounds)  # type: ignore[arg-type]
    except CadranError:
        return []
    rows = answer.to_arrow().to_pylist()
    return [{k: v for k, v in row.items() if k != column} for row in rows]


def _used_by(layer: Layer, kpi: str) -> list[dict[str, str]]:
    found = [
        {"kind": "saved_query", "name": query["name"], "label": query["label"] or query["name"],
         "description": query["description"] or "", "url": ""}
        for query in layer.project.semantic_manifest["saved_queries"]
        if kpi in query["query_params"]["metrics"]
    ]  # fmt: skip
    try:
        exposures = layer.project.dbt_manifest.get("exposures", {}).values()
    except ProjectError:
        return found
    for one in exposures:
        nodes = one.get("depends_on", {}).get("nodes", [])
        if any(node.startswith("metric.") and node.endswith(f".{kpi}") for node in nodes):
            found.append(
                {"kind": "exposure", "name": one["name"], "label": one.get("label") or one["name"],
                 "description": one.get("description") or "", "url": one.get("url") or ""}
            )  # fmt: skip
    return found


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
    known = {row["objective"] for row in rows}
    for card in layer.kpis():
        if card.objective not in known:
            known.add(card.objective)
            words = card.objective.replace("_", " ").capitalize()
            rows.append(
                {"objective": card.objective, "label_en": words, "label_fr": words,
                 "description_en": "", "description_fr": "", "owner": ""}
            )  # fmt: skip
    return rows


def _project(layer: Layer) -> str:
    try:
        return str(layer.project.dbt_manifest["metadata"].get("project_name") or "")
    except ProjectError:
        return ""
