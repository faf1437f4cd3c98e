"""What a project defines, and the SQL of each question about it; no warehouse is needed."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from functools import cached_property, partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from cadran.core.compiler import plan_cache as plans
from cadran.core.compiler import shapes
from cadran.core.project import cards as card_reader
from cadran.core.query.filters import Condition, read
from cadran.core.query.request import (
    Fields,
    GroupBy,
    Query,
    ask,
    field_of,
)
from cadran.core.recent import Recent
from cadran.core.semantics.governed import TIME, govern
from cadran.core.semantics.metrics import MetricGraph
from cadran.core.semantics.ranges import Ranges
from cadran.errors import CadranError, CardError, UnknownNameError, listing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cadran.core.compiler.metricflow import Compiler
    from cadran.core.project.artifacts import Project
    from cadran.core.project.cards import Card

_LEARNED_AT_ONCE = 64
_LOG = logging.getLogger("cadran.project")


class SemanticModel:
    """The definitions of one built project, and what compiles questions about them. Thread-safe.

    Attributes:
        project: where they stand.
        reads_few_rows: whether its tables are so small that fewer steps are quicker than fewer rows
            in each.
    """

    def __init__(self, built: Project, *, plan_cache: bool = True) -> None:
        """Take a project; nothing is read until it is needed."""
        self.project = built
        self.reads_few_rows = False
        self._plans = plans.PlanCache(built.plans if plan_cache else None)
        self._read_cards: dict[str, Card] = {}
        # A lock for the shapes of each remainder: one of them is learned at a time.
        self._learning = [threading.Lock() for _ in range(_LEARNED_AT_ONCE)]
        self._planned: Recent[tuple[str, Query]] = Recent(plans.MOST_IN_MEMORY)
        self._shapes: Recent[dict[str, Any]] = Recent(plans.MOST_IN_MEMORY)

    @cached_property
    def metric_graph(self) -> MetricGraph:
        """What each metric is made of."""
        return MetricGraph(self.project.semantic_manifest, self.project.dialect)

    @property
    def _metrics(self) -> dict[str, dict[str, Any]]:
        return self.metric_graph.metrics

    def kpis(self) -> list[Card]:
        """Every KPI's card, strategic ones first, then by name.

        A card that cannot be read is left out, and told in the log once: see `broken_cards`.
        """
        broken = self.broken_cards
        cards = [self.card(name) for name in self._carded if name not in broken]
        return sorted(cards, key=lambda card: (card_reader.TIERS.index(card.tier), card.name))

    @cached_property
    def broken_cards(self) -> dict[str, CardError]:
        """What is wrong with the cards that cannot be read, by KPI."""
        broken = {}
        for name in self._carded:
            try:
                self.card(name)
            except CardError as problem:
                broken[name] = problem
                _LOG.warning("cadran: left out: %s", problem)
        return broken

    def card(self, name: str) -> Card:
        """The card of one KPI.

        Raises:
            UnknownNameError: there is no such KPI.
            CardError: the card is broken; the message names its file, KPI and key.
        """
        if name not in self._read_cards:
            if name not in self._carded:
                is_metric = name in self._metrics
                hint = f"It is a metric without a card: `cadran new kpi {name}` writes one."
                hint = hint if is_metric else self.without_kpis
                raise UnknownNameError("KPI", name, () if hint else self._carded, hint=hint)
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

    @property
    def without_kpis(self) -> str:
        """What to do next in a project without a KPI, in a sentence; empty where it has one."""
        if self._carded:
            return ""
        names = [metric["name"] for metric in self.metrics()]
        if not names:
            return "The project has no metric yet: `cadran new metric --help` says how to begin."
        return (
            "The project has no KPI yet: a metric becomes one by a card, which"
            f" `cadran new kpi {names[0]}` writes. Metrics: {listing(names, 8)}."
        )

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The languages of the project's cards, that of their own words first."""
        from cadran.core.project import checks

        named = checks.read(self.project.root).languages
        if named is not None:
            return named
        written = (card_reader.carried_by(self._metrics[name]) for name in self._carded)
        has_french = any(isinstance(card, dict) and card.get("fr") for card in written)
        return ("en", "fr") if has_french else ("en",)

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
        dimensions: list[dict[str, str]] | None = self._plans.get(key)
        if dimensions is None:
            for name in names:
                self.metric(name)
            dimensions = self._compiler.group_bys(names)
            self._plans.put(key, dimensions)
        return [
            item
            for item in dimensions
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
        parameters = saved[name]["query_params"]
        filters = (parameters["where"] or {}).get("where_filters", [])
        return ask(
            metrics=parameters["metrics"],
            group_by=[_item(text)[0] for text in parameters["group_by"]],
            where=[
                read(entry["where_sql_template"], self.fields, reviewed=True) for entry in filters
            ],
            order_by=[
                f"{sign}{item.column}" for item, sign in map(_item, parameters["order_by"] or ())
            ],
            limit=parameters["limit"],
        )

    def is_kpi(self, name: str) -> bool:
        """Whether a metric has a card.

        Raises:
            UnknownNameError: there is no such metric.
        """
        return self.metric(name)["name"] in self._carded

    def resolved(self, query: Query) -> Query:
        """A question with what its saved query asks written out.

        Raises:
            UnknownNameError: there is no such saved query.
        """
        if query.saved_query is None:
            return query
        saved = self.saved_query(query.saved_query)
        return replace(
            query,
            metrics=(*saved.metrics, *(m for m in query.metrics if m not in saved.metrics)),
            group_by=(*saved.group_by, *(g for g in query.group_by if g not in saved.group_by)),
            where=(*saved.where, *query.where),
            order_by=query.order_by or saved.order_by,
            limit=saved.limit if query.limit is None else query.limit,
            saved_query=None,
        )

    def cards_of(self, query: Query) -> dict[str, Card]:
        """The cards of the KPIs that a question asks, by name."""
        return {name: self.card(name) for name in query.metrics if self.is_kpi(name)}

    def conditions(self, texts: Iterable[str]) -> tuple[Condition, ...]:
        """Filters as they are understood.

        Raises:
            QueryError: one is none.
        """
        return tuple(read(text, self.fields) for text in texts)

    def allowed(self, query: Query) -> Query:
        """A question as the cards of its KPIs let it stand; see `govern`.

        Raises:
            NotGovernedError: a KPI is asked at a grain or dimension that is not on its card.
            UnknownNameError: a dimension does not exist at all.
            QueryError: a filter is no template.
        """
        cards = self.cards_of(query) if query.governed else {}
        known = partial(self.dimensions, governed=False)
        return govern(query, list(cards.values()), known) if cards else query

    def compiled(self, query: Query) -> str:
        """The SQL by which a question is answered from the values of now; nothing is run.

        Raises:
            CadranError: as `plan`.
        """
        return self.plan(self.resolved(query).of_now)[0]

    def plan(self, query: Query) -> tuple[str, Query]:
        """The SQL of a question, and the question as its KPIs' cards let it stand.

        Only what was found sound is kept, and the cards are part of the manifest in the key: a kept
        plan needs neither its filters read nor its cards checked again.

        Raises:
            CadranError: as `Layer.query`, but for what only the warehouse can refuse.
        """
        planned = self._planned.get(query)
        if planned is None:
            plan = self._shared_plan(query) or self._own_plan(query)
            groups = tuple(GroupBy(*parts) for parts in plan["group_by"])
            planned = plan["sql"], replace(query, group_by=groups)
            self._planned.put(query, planned)
        return planned

    def _own_plan(self, query: Query) -> dict[str, Any]:
        """The plan of this very question."""
        key = self._key("plan", query.key(), query.governed)
        plan = self._valid_plan(key)
        if plan is None:
            plan = self._compiled(query)
            self._plans.put(key, plan)
        return plan

    def _shared_plan(self, query: Query) -> dict[str, Any] | None:
        """The plan of all questions that differ from this one in values; None if it has none."""
        shape = shapes.shape_of(query)
        if shape is None:
            return None
        plan = self._shapes.get((shape.query, query.governed))
        if plan is None or not self._is_valid(plan):
            plan = self._plan_of_shape(shape, governed=query.governed)
        if plan is None or plan["parts"] is None:
            return None
        return {"sql": shapes.filled(plan["parts"], shape), "group_by": plan["group_by"]}

    def _plan_of_shape(self, shape: shapes.Shape, *, governed: bool) -> dict[str, Any] | None:
        """The plan of a shape, learned where nobody asked it yet; None if it is refused."""
        key = self._key("shape", shape.query.key(), governed)
        plan = self._valid_plan(key)
        if plan is None:
            with self._learning[int(key[:8], 16) % len(self._learning)]:
                plan = self._valid_plan(key) or self._learned(shape)
                if plan is None:
                    return None
                self._plans.put(key, plan)
        self._shapes.put((shape.query, governed), plan)
        return plan

    def _valid_plan(self, key: str) -> dict[str, Any] | None:
        """A kept plan, where the columns still have the types that it was written for."""
        plan: dict[str, Any] | None = self._plans.get(key)
        return plan if plan is not None and self._is_valid(plan) else None

    def _is_valid(self, plan: dict[str, Any]) -> bool:
        return all(self.is_time(*column) for column in plan["times"])

    def _learned(self, shape: shapes.Shape) -> dict[str, Any] | None:
        """The plan of a shape, without parts where it cannot be shared; None if it is refused."""
        shape, other = shape.stand_ins()
        query = shape.question()
        try:
            if shape.is_sharable(self.conditions((*query.where, *query.confined))):
                plan, other_plan = self._compiled(query), self._compiled(other.question())
                parts = shapes.learned(shape, plan["sql"], other, other_plan["sql"])
                if plan["times"] == other_plan["times"]:
                    return {**plan, "sql": None, "parts": parts}
        except CadranError:
            return None  # the question itself is refused, in its own words
        return {"parts": None, "times": [], "group_by": []}

    def by_period(self, query: Query) -> Query:
        """A question by time as well, where a metric of it means nothing without one."""
        cards = [self.card(name) for name in query.metrics if name in self._carded]
        return self.ranges.by_period(query, cards)

    def plan_values(self, query: Query) -> tuple[str, Query]:
        """The SQL of the values of the one dimension that a question groups by, and the question.

        Raises:
            UnknownNameError: the metrics have no such dimension.
            NotGovernedError: it is not on the card of a KPI among them.
        """
        query = self.allowed(query)
        key = self._key("values", query.key())
        sql: str | None = self._plans.get(key)
        if sql is None:
            sql = self._compiler.dimension_values_sql(query.group_by[0], query.metrics)
            self._plans.put(key, sql)
        return sql, query

    def stable_sql(self, query: Query) -> str:
        """The SQL of a question as definitions and types of columns make it, whatever the data.

        Raises:
            CadranError: as `plan`.
        """
        sql: str = self._compiled(self.resolved(query), _Columns(self, has_statistics=False))["sql"]
        return sql

    def plain_sql(self, query: Query) -> str:
        """The SQL of a question as MetricFlow writes it, with nothing made quicker."""
        return self._compiler.plain_sql(query)

    def accepted(self, query: Query) -> Query:
        """A question as it is compiled, after each reason to refuse it was looked for.

        Raises:
            CadranError: as `plan`, but for what MetricFlow refuses.
        """
        for name in query.metrics:
            self.metric(name)
        if query.where:
            query = replace(query, where=self.conditions(query.where))
        query = self.allowed(query)
        self.ranges.refuse(query)
        if not any(group.base == TIME for group in query.group_by):
            query = self.ranges.widened(query)  # by metric_time, MetricFlow widens it alike
        if query.confined:
            where = (*query.where, *self.conditions(query.confined))
            query = replace(query, where=where, confined=())
        return self.ranges.with_days_of_filters(query)

    def _compiled(self, query: Query, columns: _Columns | None = None) -> dict[str, Any]:
        query = self.accepted(query)
        columns = columns or _Columns(self)
        same_days = any(map(self.is_kpi, query.metrics))
        if query.limit == 0:
            whole = replace(query, limit=None, ordered=False, order_by=())
            sql = self._compiler.sql(whole, columns, same_days=same_days)
            sql = f"select * from (\n{sql}\n) as answer limit 0"
        else:
            sql = self._compiler.sql(query, columns, same_days=same_days)
        groups = [[group.name, group.grain, group.date_part] for group in query.group_by]
        # A plan holds as long as the columns have the types that it was written for.
        return {"sql": sql, "group_by": groups, "times": sorted(columns.times)}

    def is_time(self, relation: str, column: str) -> bool:  # noqa: ARG002
        """Whether a column is known to be a date or an instant; definitions alone do not say."""
        return False

    def is_local_time(self, relation: str, column: str) -> bool:  # noqa: ARG002
        """Whether a column is known to be one without a time zone."""
        return False

    def has_few_values(self, relation: str, column: str) -> bool:  # noqa: ARG002
        """Whether a column is known to have few distinct values."""
        return False

    @cached_property
    def fields(self) -> Fields:
        """Which names are times, entities and grains."""
        return Fields.of(self.project.semantic_manifest)

    @cached_property
    def ranges(self) -> Ranges:
        """The periods that each question reads."""
        manifest = self.project.semantic_manifest
        return Ranges(manifest, self.metric_graph, self.fields, self._carded)

    @cached_property
    def _compiler(self) -> Compiler:
        from cadran.core.compiler.metricflow import Compiler

        return Compiler(self.project)

    def kept(self, key: Iterable[object], make: Callable[[], Any]) -> Any:
        """What is made of the definitions, kept with their plans; of JSON types."""
        name = self._key(*key)
        value = self._plans.get(name)
        if value is None:
            value = make()
            self._plans.put(name, value)
        return value

    def _key(self, *parts: object) -> str:
        return plans.key_of(self._identity, *parts)

    @cached_property
    def _identity(self) -> list[str]:
        """What a plan depends on beside the question."""
        project = self.project
        return [project.fingerprint, project.dialect, version("metricflow"), plans.code()]


class _Columns:
    """What a project's columns are known to be, and which of them a plan takes for times."""

    def __init__(self, model: SemanticModel, *, has_statistics: bool = True) -> None:
        self._model = model
        self._has_statistics = has_statistics
        self.reads_few_rows = model.reads_few_rows
        self.times: set[tuple[str, str]] = set()
        self.has_few_values = model.has_few_values

    def is_time(self, relation: str, column: str) -> bool:
        return self._noted(relation, column, known=self._model.is_time(relation, column))

    def is_local_time(self, relation: str, column: str) -> bool:
        known = self._has_statistics and self._model.is_local_time(relation, column)
        return self._noted(relation, column, known=known)

    def _noted(self, relation: str, column: str, *, known: bool) -> bool:
        if known:
            self.times.add((relation, column))
        return known


def _item(text: str) -> tuple[GroupBy, str]:
    """An entry of a saved query, written as a name or as a template; and `-` if descending."""
    if "(" not in text:
        return GroupBy(text.removeprefix("-")), "-" if text.startswith("-") else ""
    field, descending = field_of(text)
    return field.group, "-" if descending else ""
