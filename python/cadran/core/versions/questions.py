"""The questions of a KPI as MetricFlow writes them, each kept until what decides it changes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cadran.core.compiler.plan_cache import key_of
from cadran.core.project.artifacts import Project
from cadran.core.query.request import GRAINS, ask
from cadran.core.semantics.governed import TIME
from cadran.core.semantics.metrics import MetricGraph
from cadran.core.semantics.model import SemanticModel
from cadran.core.versions.definition import DIALECT, CompiledQuery, opened, tools
from cadran.core.versions.expand import without_comments
from cadran.core.versions.fingerprint import query_semantics

if TYPE_CHECKING:
    from collections.abc import Collection

    from cadran.core.compiler.plan_cache import PlanCache
    from cadran.core.project.cards import Card
    from cadran.core.project.graph import Graph
    from cadran.core.versions.definition import Definition
    from cadran.core.versions.expand import Expansion


class CompiledQueries:
    """Asks each KPI at each grain of its card without a dimension, and by each dimension."""

    def __init__(self, model: SemanticModel, graph: Graph, cache: PlanCache) -> None:
        """Take the compiled project, and where questions are kept."""
        self._model, self._graph, self._cache = model, graph, cache

    def questions(self, card: Card) -> list[CompiledQuery]:
        """The questions; those at two grains that differ in nothing else are one.

        Raises:
            QueryError: the card names a grain or dimension that the KPI cannot be asked by.
        """
        entries: list[list[Any]] | None = self._cache.get(self._key(card))
        if entries is None:
            questions = self._compile(card)
            self.keep(card.name, questions)
            return questions
        return [CompiledQuery(tuple(g), tuple(d), sql) for g, d, sql in entries]

    def keep(self, kpi: str, questions: list[CompiledQuery]) -> None:
        """Believe that MetricFlow would write the questions of a KPI like this."""
        key = self._key(self._model.card(kpi))
        self._cache.put(key, [[list(q.grains), list(q.dimensions), q.sql] for q in questions])

    def fingerprint(self, card: Card) -> str:
        """A mark of all that decides how MetricFlow writes the questions of a KPI."""
        content = query_semantics(
            self._graph, sorted(MetricGraph(self._graph.semantic).closure(card.name))
        )
        return key_of(content, _grains(card), list(card.dimensions))

    def _key(self, card: Card) -> str:
        return key_of("questions", tools(), self.fingerprint(card))

    def _compile(self, card: Card) -> list[CompiledQuery]:
        alike: dict[str, list[str]] = {}
        for grain in _grains(card):
            alike.setdefault(self._sql(card, grain), []).append(grain)
        questions = []
        for sql, shared in alike.items():
            questions.append(CompiledQuery(tuple(shared), (), sql))
            for dimension in card.dimensions:
                by_dimension = self._sql(card, shared[0], dimension)
                questions.append(CompiledQuery(tuple(shared), (dimension,), by_dimension))
        return questions

    def _sql(self, card: Card, grain: str, *dimensions: str) -> str:
        query = ask([card.name], [f"{TIME}__{grain}", *dimensions], ordered=False)
        # The plain shape, not the quick one.
        return opened(self._model.plain_sql(query), grain)


def _grains(card: Card) -> list[str]:
    return [grain for grain in GRAINS if grain in card.grains]


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
        fields: dict[str, Any] = _pruned(item)
        return fields | {"node_relation": place}

    settings = graph.semantic["project_configuration"]
    models = [
        model
        for model in graph.semantic["semantic_models"]
        if graph.of_relation(model["node_relation"]) in ids
    ]
    metrics = []
    for name in sorted(MetricGraph(graph.semantic).closure(kpi)):
        metric = graph.metrics[name]
        fields = {key: metric[key] for key in _WORDS[:2] if name == kpi}
        if name == kpi:
            fields["config"] = {"meta": {"kpi": metric["config"]["meta"]["kpi"]}}
        metrics.append(_pruned(metric) | fields)
    return {
        "metrics": metrics,
        "semantic_models": [placed(model) for model in models],
        "project_configuration": {
            "dsi_package_version": settings["dsi_package_version"],
            "time_spines": [placed(spine) for spine in settings["time_spines"]],
        },
    }


def frozen_model(project: Project, semantics: dict[str, Any]) -> SemanticModel:
    """Frozen definitions of a project as a model that compiles questions over frozen models."""
    text = json.dumps(semantics | {"saved_queries": []}).encode()
    place = project.semantic_manifest_path, project.database, None
    return SemanticModel(Project(*place, text=text, dialect=DIALECT), plan_cache=False)


def recompiled(project: Project, definition: Definition) -> Definition:
    """A definition as the MetricFlow of today writes its questions: over the same frozen models."""
    model = frozen_model(project, definition.semantics)
    questions = []
    for question in definition.questions:
        groups = [f"{TIME}__{question.grains[0]}", *question.dimensions]
        plain = model.plain_sql(ask([definition.kpi], groups, ordered=False))
        sql = opened(plain, question.grains[0]).replace(SCHEMA, "")
        questions.append(replace(question, sql=without_comments(sql, DIALECT)))
    return replace(definition, questions=tuple(questions))


def _pruned(value: Any) -> Any:
    """What decides something: no words, and nothing that says no more than that it is not there."""
    if isinstance(value, dict):
        fields = {k: _pruned(v) for k, v in value.items() if k not in _WORDS}
        return {k: v for k, v in fields.items() if v is not None and v not in ([], {})}
    if isinstance(value, list):
        return [_pruned(item) for item in value]
    return value
