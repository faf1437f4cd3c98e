"""A layer that also answers what stands behind a KPI: numerator, denominator and observations.

A layer answers only what the semantic manifest defines. So a copy of the manifest is kept beside
it, in which each KPI that divides has two metrics more, its two sides, and each KPI one that counts
the rows of its building block. Nothing in it is changed, only added; the definitions stay one.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cadran.core.project.artifacts import Project
from cadran.core.semantics.metrics import NOT_ADDITIVE
from cadran.core.semantics.tree import own_relation
from cadran.errors import QueryError
from cadran.formats import files

if TYPE_CHECKING:
    import pyarrow as pa

    from cadran.core.layer import Layer
    from cadran.core.query.request import Query
    from cadran.core.result import Result
    from cadran.core.semantics.metrics import Components, MetricGraph


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


NUMERATOR, DENOMINATOR = "numerator", "denominator"


@dataclass(frozen=True, slots=True)
class Sides:
    """Answers a KPI that divides together with what it divides.

    Attributes:
        wider: the layer that knows the components.
        components: their names by KPI.
    """

    wider: Layer
    components: dict[str, Components]

    @classmethod
    def of(cls, layer: Layer, home: Path | None = None) -> Sides:
        """The sides of the KPIs of a layer; `home` is as `measuring` takes it."""
        return cls(*measuring(layer, home))

    def names(self, kpi: str) -> tuple[str | None, str]:
        """The metrics above and below the division; a conversion rate has only that below.

        Raises:
            QueryError: it divides nothing, or by what cannot be summed over members.
        """
        own = self.components[kpi]
        graph = self.wider.metric_graph
        above, below = own.numerator, own.denominator or _converted(graph, kpi)
        if below is None:
            raise QueryError(
                f"{kpi} is neither a sum nor the quotient of two sums (a distinct count, a median"
                " and a percentile are none), so its parts do not add up to it."
            )
        for name in filter(None, (above, below)):
            if graph.additivity(name) in (None, NOT_ADDITIVE):
                raise QueryError(
                    f"{kpi} divides what is no sum, such as a distinct count, so its parts do not"
                    " add up to it."
                )
        return above, below

    def answer(self, query: Query) -> Result:
        """The answer about one KPI; `table` gives its rows with those of the two sides.

        Raises:
            QueryError: as `names`.
            CadranError: as `Layer.answer`.
        """
        (kpi,) = query.metrics
        asked = (kpi, *filter(None, self.names(kpi)))
        return self.wider.answer(replace(query, metrics=asked))

    def table(self, kpi: str, rows: pa.Table) -> pa.Table:
        """The rows of `answer` with the sides called `numerator` and `denominator`."""
        above, below = self.names(kpi)
        called = {above: NUMERATOR, below: DENOMINATOR}
        return rows.rename_columns([called.get(name, name) for name in rows.column_names])


def _converted(graph: MetricGraph, name: str) -> str | None:
    """The base of the conversion rate that a metric is; None where it is none."""
    while graph.metrics[name]["type"] == "derived":
        relation = own_relation(graph, name)
        if relation.kind != "same":
            return None
        name = relation.components[0].metric
    params = graph.metrics[name]["type_params"].get("conversion_type_params") or {}
    if params.get("calculation") != "conversion_rate":
        return None
    return next(part.name for part in graph.inputs(name) if part.role == "base")


def _folder(layer: Layer) -> Path:
    plans = layer.project.plans
    if plans is None:
        return Path(tempfile.mkdtemp(prefix="cadran-ledger-"))
    return plans.parent / "ledger"
