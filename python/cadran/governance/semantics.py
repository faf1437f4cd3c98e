"""MetricFlow's definitions behind one KPI, over the names of its frozen models.

Frozen SQL answers what was frozen. With the definitions beside it a version also answers what
nobody foresaw: several dimensions, filters, ranges, exactly as it would have on its day.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cadran.governance.expand import without_comments
from cadran.governed import TIME
from cadran.query import ask

if TYPE_CHECKING:
    from collections.abc import Collection

    from cadran.governance.closure import Graph
    from cadran.governance.expand import Expansion
    from cadran.governance.questions import Definition
    from cadran.layer import Layer

# MetricFlow wants relations in a schema.
SCHEMA = '"frozen".'
_WORDS = ("description", "label", "metadata", "config")


def semantics_of(
    graph: Graph, expansion: Expansion, kpi: str, ids: Collection[str]
) -> dict[str, Any]:
    """A semantic manifest of one KPI, whose relations are names of steps and leaves.

    Args:
        graph: dbt's manifest, compiled.
        expansion: gives relations their names.
        kpi: the KPI; its own words and its card are kept, other words are not.
        ids: the dbt ids of everything that the KPI reads.
    """

    def placed(item: dict[str, Any]) -> dict[str, Any]:
        key = graph.of_relation(item["node_relation"])
        name = expansion.relation(key) if key else f'"{item["node_relation"]["alias"]}"'
        place = {"alias": "frozen", "schema_name": "frozen", "relation_name": SCHEMA + name}
        kept: dict[str, Any] = _pruned(item)
        return kept | {"node_relation": place}

    settings = graph.semantic["project_configuration"]
    models = [
        model
        for model in graph.semantic["semantic_models"]
        if graph.of_relation(model["node_relation"]) in ids
    ]
    metrics = []
    for name in graph.metrics_behind(kpi):
        metric = graph.metrics[name]
        kept = {key: metric[key] for key in _WORDS[:2] if name == kpi}
        if name == kpi:
            kept["config"] = {"meta": {"kpi": metric["config"]["meta"]["kpi"]}}
        metrics.append(_pruned(metric) | kept)
    return {
        "metrics": metrics,
        "semantic_models": [placed(model) for model in models],
        "project_configuration": {
            "dsi_package_version": settings["dsi_package_version"],
            "time_spines": [placed(spine) for spine in settings["time_spines"]],
        },
    }


def definitions_of(layer: Layer, semantics: dict[str, Any]) -> Layer:
    """Frozen definitions as a layer that compiles questions over frozen models."""
    from cadran.layer import Layer as Opened
    from cadran.project import Project

    project = layer.project
    text = json.dumps(semantics | {"saved_queries": []}).encode()
    place = project.semantic_manifest_path, project.database, None
    return Opened(Project(*place, text=text), plan_cache=False)


def asked_anew(layer: Layer, definition: Definition) -> Definition:
    """A definition as the MetricFlow of today writes its questions: over the same frozen models."""
    from cadran.governance.questions import DIALECT, opened

    compiler = definitions_of(layer, definition.semantics)._compiler  # noqa: SLF001 - its own layer
    questions = []
    for question in definition.questions:
        groups = [f"{TIME}__{question.grains[0]}", *question.dimensions]
        asked = compiler.plain_sql(ask([definition.kpi], groups, ordered=False))
        sql = opened(asked, question.grains[0]).replace(SCHEMA, "")
        questions.append(replace(question, sql=without_comments(sql, DIALECT)))
    return replace(definition, questions=tuple(questions))


def _pruned(value: Any) -> Any:
    """What decides something: no words, and nothing that says no more than that it is not there."""
    if isinstance(value, dict):
        kept = {k: _pruned(v) for k, v in value.items() if k not in _WORDS}
        return {k: v for k, v in kept.items() if v is not None and v not in ([], {})}
    if isinstance(value, list):
        return [_pruned(item) for item in value]
    return value
