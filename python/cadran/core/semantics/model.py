"""What there is to ask: metrics, KPIs with their cards, dimensions, saved queries."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.core.compiler import plan_cache as plans
from cadran.core.project import cards as card_reader
from cadran.core.query.filters import Fields, names_in
from cadran.core.query.request import GroupBy, Query, ask
from cadran.core.semantics.governed import TIME
from cadran.core.semantics.metrics import MetricGraph
from cadran.errors import QueryError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.core.compiler.metricflow import Compiler
    from cadran.core.project.artifacts import Project
    from cadran.core.project.cards import Card


class Definitions:
    """Lists what one built project defines. Nothing is read until it is needed."""

    def __init__(self, built: Project, *, plan_cache: bool = True) -> None:
        """Take a project; nothing is read yet."""
        self.project = built
        self._plans = plans.PlanCache(built.plans if plan_cache else None)
        self._read_cards: dict[str, Card] = {}

    @cached_property
    def metric_graph(self) -> MetricGraph:
        """What each metric is made of."""
        return MetricGraph(self.project.semantic_manifest, self.project.dialect)

    @property
    def _metrics(self) -> dict[str, dict[str, Any]]:
        return self.metric_graph.metrics

    def kpis(self) -> list[Card]:
        """Every KPI's card, strategic ones first, then by name.

        Raises:
            CardError: a card is broken; the message names its file, KPI and key.
        """
        cards = [self.card(name) for name in self._carded]
        return sorted(cards, key=lambda card: (card_reader.TIERS.index(card.tier), card.name))

    def card(self, name: str) -> Card:
        """The card of one KPI.

        Raises:
            UnknownNameError: there is no such KPI.
            CardError: the card is broken; the message names its file, KPI and key.
        """
        if name not in self._read_cards:
            if name not in self._carded:
                raise UnknownNameError("KPI", name, self._carded)
            # What was validated is kept with the plans: a known card needs no pydantic.
            key = self._key("card", name)
            content = self._plans.get(key)
            if content is None:
                file_of = partial(self.project.file_of, name)
                card = card_reader.read(self._metrics[name], file_of)
                self._plans.put(key, card.to_dict())
            else:
                card = card_reader.restored(content)
            self._read_cards[name] = card
        return self._read_cards[name]

    @cached_property
    def _carded(self) -> list[str]:
        return [n for n, m in self._metrics.items() if card_reader.carried_by(m) is not None]

    def metrics(self) -> list[dict[str, Any]]:
        """Every metric that is not hidden: name, label, description, type and whether a KPI."""
        return [
            {
                "name": name,
                "label": metric["label"] or name,
                "description": metric["description"] or "",
                "type": metric["type"],
                "is_kpi": card_reader.carried_by(metric) is not None,
            }
            for name, metric in sorted(self._metrics.items())
            if not metric["type_params"].get("is_private")
        ]

    def metric(self, name: str) -> dict[str, Any]:
        """One metric as the semantic manifest defines it, hidden ones included.

        Raises:
            UnknownNameError: there is no such metric.
        """
        if name not in self._metrics:
            raise UnknownNameError("metric", name, [metric["name"] for metric in self.metrics()])
        return self._metrics[name]

    def dimensions(
        self, metrics: str | Iterable[str] = (), *, governed: bool = True
    ) -> list[dict[str, str]]:
        """What all these metrics can be grouped by: name, type and description.

        Args:
            metrics: one name or several.
            governed: leave out what is not on the cards of the KPIs among them.

        Raises:
            UnknownNameError: a metric does not exist.
        """
        names = [metrics] if isinstance(metrics, str) else list(metrics)
        cards = [self.card(name) for name in names if self.is_kpi(name)] if governed else []
        key = self._key("dimensions", sorted(names))
        found: list[dict[str, str]] | None = self._plans.get(key)
        if found is None:
            for name in names:
                self.metric(name)
            found = self._compiler.group_bys(names)
            self._plans.put(key, found)
        return [
            item
            for item in found
            if item["name"] == TIME or all(item["name"] in card.dimensions for card in cards)
        ]

    def saved_queries(self) -> list[dict[str, str]]:
        """Every saved query: name, label and description."""
        return [
            {
                "name": query["name"],
                "label": query["label"] or query["name"],
                "description": query["description"] or "",
            }
            for query in self.project.semantic_manifest["saved_queries"]
        ]

    def saved_query(self, name: str) -> Query:
        """The question that a saved query asks.

        Raises:
            UnknownNameError: there is no such saved query.
        """
        saved = {q["name"]: q for q in self.project.semantic_manifest["saved_queries"]}
        if name not in saved:
            raise UnknownNameError("saved query", name, saved)
        asked = saved[name]["query_params"]
        filters = (asked["where"] or {}).get("where_filters", [])
        return ask(
            metrics=asked["metrics"],
            group_by=[_item(text)[0] for text in asked["group_by"]],
            where=[one["where_sql_template"] for one in filters],
            order_by=[f"{sign}{item.column}" for item, sign in map(_item, asked["order_by"] or ())],
            limit=asked["limit"],
        )

    def refuse_open_range(self, query: Query) -> None:
        """MetricFlow writes invalid SQL for a range of a cumulative metric without a time.

        Raises:
            QueryError: the question is of that kind.
        """
        if query.start is None and query.end is None:
            return
        times = Fields.of(self.project.semantic_manifest).times
        if {group.base.rpartition("__")[2] for group in query.group_by} & times:
            return
        for name in query.metrics:
            if self.metric_graph.accumulates(name):
                raise QueryError(
                    f"{name} is cumulative: with start or end it needs metric_time in group_by,"
                    " such as metric_time__day."
                )

    def is_kpi(self, name: str) -> bool:
        """Whether a metric has a card.

        Raises:
            UnknownNameError: there is no such metric.
        """
        return card_reader.carried_by(self.metric(name)) is not None

    def _all_dimensions(self, metrics: Iterable[str]) -> list[dict[str, str]]:
        return self.dimensions(metrics, governed=False)

    @cached_property
    def _compiler(self) -> Compiler:
        from cadran.core.compiler.metricflow import Compiler

        return Compiler(self.project)

    def _key(self, *parts: object) -> str:
        return plans.key_of(self._identity, *parts)

    @cached_property
    def _identity(self) -> list[str]:
        """What a plan depends on beside the question.

        An installation for development changes without its version, so the files that compile
        count too.
        """
        from importlib.metadata import version

        from cadran import __version__

        core = Path(__file__).parents[1]
        found = [module.stat() for module in sorted(core.rglob("*.py"))]
        code = ",".join(f"{file.st_size}:{file.st_mtime_ns}" for file in found)
        project = self.project
        return [project.fingerprint, project.dialect, version("metricflow"), __version__, code]


def _item(text: str) -> tuple[GroupBy, str]:
    """An entry of a saved query, written as a name or as a template; and `-` if descending."""
    if "(" not in text:
        return GroupBy(text.removeprefix("-")), "-" if text.startswith("-") else ""
    named = names_in("{{ " + text + " }}")
    items = [*named.dimensions, *(GroupBy(name) for name in (*named.entities, *named.metrics))]
    return items[0], "-" if named.descending else ""
