"""A layer that also answers what stands behind a KPI: numerator, denominator and observations.

A layer answers only what the semantic manifest defines. So a copy of the manifest is kept beside
it, in which each KPI that divides has two metrics more, its two sides, and each KPI one that counts
the rows of its building block. Nothing in it is changed, only added; the definitions stay one.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cadran.core.project.artifacts import Project
from cadran.formats import files

if TYPE_CHECKING:
    from cadran.core.layer import Layer
    from cadran.core.semantics.metrics import Components


def measuring(layer: Layer, home: Path | None = None) -> tuple[Layer, dict[str, Components]]:
    """A layer that also knows the components of each KPI, and their names by KPI.

    It answers from the same warehouse connection as the layer given.

    Args:
        layer: the layer whose KPIs are measured.
        home: the folder for its manifest; by default one beside the compiled questions, for all
            that measure the same project.
    """
    metrics, components = layer.metric_graph.with_components(card.name for card in layer.kpis())
    manifest = layer.project.semantic_manifest | {"metrics": metrics}
    folder = _folder(layer) if home is None else home
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "semantic_manifest.json"
    text = json.dumps(manifest, sort_keys=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        files.write(path, text)
    plans = None if home is None else layer.project.plans
    project = Project(path, layer.project.database, layer.project.root, plans=plans)
    return layer.over(project), components


def _folder(layer: Layer) -> Path:
    plans = layer.project.plans
    if plans is None:
        return Path(tempfile.mkdtemp(prefix="cadran-ledger-"))
    return plans.parent / "ledger"
