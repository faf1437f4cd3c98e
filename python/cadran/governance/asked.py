"""The questions of a KPI as MetricFlow writes them, each kept until what decides it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.governance.questions import Question, opened, tools
from cadran.governance.quick import said_of
from cadran.governed import TIME
from cadran.plans import key_of
from cadran.query import GRAINS, ask

if TYPE_CHECKING:
    from cadran.cards import Card
    from cadran.governance.closure import Graph
    from cadran.layer import Layer
    from cadran.plans import PlanCache


class Asked:
    """Asks each KPI at each grain of its card without a dimension, and by each dimension."""

    def __init__(self, layer: Layer, graph: Graph, cache: PlanCache) -> None:
        """Take the compiled project, and where questions are kept."""
        self._layer, self._graph, self._cache = layer, graph, cache

    def questions(self, card: Card) -> list[Question]:
        """The questions; those at two grains that differ in nothing else are one.

        Raises:
            QueryError: the card names a grain or dimension that the KPI cannot be asked by.
        """
        kept: list[list[Any]] | None = self._cache.get(self._key(card))
        if kept is None:
            found = self._compile(card)
            self.keep(card.name, found)
            return found
        return [Question(tuple(g), tuple(d), sql) for g, d, sql in kept]

    def keep(self, kpi: str, questions: list[Question]) -> None:
        """Believe that MetricFlow would write the questions of a KPI like this."""
        key = self._key(self._layer.card(kpi))
        self._cache.put(key, [[list(q.grains), list(q.dimensions), q.sql] for q in questions])

    def mark(self, card: Card) -> str:
        """A mark of all that decides how MetricFlow writes the questions of a KPI."""
        said = said_of(self._graph, self._graph.metrics_behind(card.name))
        return key_of(said, _grains(card), list(card.dimensions))

    def _key(self, card: Card) -> str:
        return key_of("questions", tools(), self.mark(card))

    def _compile(self, card: Card) -> list[Question]:
        alike: dict[str, list[str]] = {}
        for grain in _grains(card):
            alike.setdefault(self._sql(card, grain), []).append(grain)
        found = []
        for sql, shared in alike.items():
            found.append(Question(tuple(shared), (), sql))
            for dimension in card.dimensions:
                asked = self._sql(card, shared[0], dimension)
                found.append(Question(tuple(shared), (dimension,), asked))
        return found

    def _sql(self, card: Card, grain: str, *dimensions: str) -> str:
        query = ask([card.name], [f"{TIME}__{grain}", *dimensions], ordered=False)
        # The plain shape, not the quick one.
        return opened(self._layer._compiler.plain_sql(query), grain)  # noqa: SLF001


def _grains(card: Card) -> list[str]:
    return [grain for grain in GRAINS if grain in card.grains]
