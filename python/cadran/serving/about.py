"""A KPI in full: its card with its versions, breaks and targets, and where it comes from."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import yaml

from cadran import board, lineage
from cadran.errors import CadranError, ProjectError
from cadran.published import Reader, has_ledger
from cadran.query import GroupBy, Query
from cadran.serving.described import broken

if TYPE_CHECKING:
    from pathlib import Path

    from cadran.access.caller import Caller
    from cadran.layer import Layer
    from cadran.serving.desk import Desk

_TOLD = ("version", "effective_from", "kind", "reason", "restatement", "author", "approver")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def about(desk: Desk, caller: Caller, kpi: str, lang: str = "en") -> dict[str, Any]:
    """The card with versions, breaks and targets, as JSON types.

    Raises:
        UnknownNameError: there is no such KPI, or not for this caller.
    """
    card = desk.card(caller, kpi)
    with desk.states.use() as state:
        layer = state.layer
        return {
            "kpi": card.to_dict(lang),
            "versions": versions(layer.project.root, kpi, card.version),
            "breaks": breaks(layer, kpi, card.grains),
            "targets": _targets(layer, kpi),
            "state": state.id,
        }


def versions(root: Path | None, kpi: str, present: int) -> list[dict[str, Any]]:
    """What the records say of each version of a KPI; of the present one where there are none."""
    found = []
    for path in (root / "versions" / kpi).glob("v*.yml") if root is not None else ():
        with path.open(encoding="utf-8") as record:
            told = yaml.load(record, _LOADER)  # noqa: S506 - a safe loader
        shown = {key: told.get(key) for key in _TOLD}
        found.append({k: v.isoformat() if isinstance(v, dt.date) else v for k, v in shown.items()})
    found = found or [{**dict.fromkeys(_TOLD), "version": present}]
    return sorted(found, key=lambda one: one["version"])


def breaks(layer: Layer, kpi: str, grains: tuple[str, ...]) -> list[dict[str, Any]]:
    """Where the published values of a KPI changed their meaning, at the coarsest grain told."""
    if not has_ledger(layer.warehouse):
        return []
    for grain in ("month", *reversed(grains)):
        if grain not in grains:
            continue
        asked = Query(metrics=(kpi,), group_by=(GroupBy("metric_time", grain),))
        found = Reader(layer.warehouse, asked, None, None).breaks(in_series=False)
        if found:
            return [broken(one) for one in found]
    return []


def origin(layer: Layer, kpi: str) -> dict[str, Any]:
    """What a KPI is made from: models and sources by their names."""
    try:
        root = lineage.of_metric(layer.project.dbt_manifest, kpi)
    except CadranError:
        return {"models": [], "sources": []}
    models: dict[str, None] = {}

    def walk(node: lineage.Node) -> None:
        if node.kind == "model":
            models[node.name] = None
        for parent in node.parents:
            walk(parent)

    walk(root)
    return {"models": list(models), "sources": root.sources()}


def _targets(layer: Layer, kpi: str) -> list[dict[str, Any]]:
    try:
        found = board.targets(layer)
    except ProjectError:
        return []
    return [
        {
            "grain": one.grain, "period": one.start.isoformat(), "target": one.target,
            "warning": one.warning, "critical": one.critical,
        }
        for one in found
        if one.kpi == kpi
    ]  # fmt: skip
