"""The layer: the one door through which every number leaves."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cadran.core import warehouse
from cadran.core.project import artifacts
from cadran.core.query.request import GroupBy, Query, ask
from cadran.core.semantics.governed import govern
from cadran.core.semantics.model import Definitions
from cadran.errors import QueryError, UnknownNameError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable
    from pathlib import Path

    from cadran.core.project.cards import Card
    from cadran.core.result import Result
    from cadran.notebook import Kpi


class Layer(Definitions):
    """Answers questions about the KPIs and metrics of one built project. Thread-safe."""

    def __init__(
        self,
        built: artifacts.Project,
        *,
        plan_cache: bool = True,
        confined: warehouse.Confinement | None = None,
    ) -> None:
        """Take a project; nothing is read until it is needed."""
        super().__init__(built, plan_cache=plan_cache)
        self._confined = confined
        self._has_ledger = False
        self._known: dict[tuple[Query, bool], tuple[str, Query]] = {}

    def query(  # noqa: PLR0913, PLR0917 - these are the names that dbt-sl-sdk gave its users
        self,
        metrics: str | Iterable[str] = (),
        group_by: str | GroupBy | Iterable[str | GroupBy] = (),
        where: str | Iterable[str] = (),
        order_by: str | Iterable[str] = (),
        limit: int | None = None,
        start: str | dt.date | None = None,
        end: str | dt.date | None = None,
        *,
        saved_query: str | None = None,
        governed: bool = True,
        min_max_only: bool = False,
        apply_group_by: bool = True,
        ordered: bool = True,
        confined: str | Iterable[str] = (),
        known_at: str | dt.date | None = None,
        view: str | None = None,
        version: int | None = None,
    ) -> Result:
        """The answer to a question, computed in the warehouse from the one definition.

        Args:
            metrics: names of metrics or KPIs.
            group_by: dimensions, `customer__country`; times with a grain, `metric_time__month`;
                or `GroupBy` for a grain or date part given apart.
            where: conditions that all hold: "order_id__channel = 'web'", or the same as a
                MetricFlow template, "{{ Dimension('order_id__channel') }} = 'web'".
            order_by: columns, with `-` before the descending ones; by default time, then
                dimensions, NULL last.
            limit: at most so many rows; 0 gives the columns without a row.
            start: first day or instant, included; widened to the whole period of the grain asked.
            end: last day or instant, included; a day is included whole.
            saved_query: start from this saved query; the other arguments add to it.
            governed: False asks the metric behind a KPI, outside its card; the result says so.
            min_max_only: only the least and greatest value of the one dimension asked.
            apply_group_by: False keeps duplicate rows of a question without metrics.
            ordered: False leaves the order to the warehouse.
            confined: conditions on the rows that whoever asks may see. They hold before anything
                is aggregated, as `where` does; a card need not list what they name.
            known_at: what the ledger held at this instant, "2026-09-30T18:00Z", instead of now.
            view: "published", "restated", "both" or "spliced"; see `cadran.published`.
            version: a version of one KPI, by its frozen SQL; when what that reads is gone, by
                what was published of it, and the result's note says so. With `known_at`, what the
                ledger held of it.

        Raises:
            UnknownNameError: a name does not exist.
            NotGovernedError: a KPI is asked at a grain or dimension that is not on its card.
            QueryError: the question makes no sense.
            WarehouseError: the warehouse cannot be read or refuses a filter.
        """
        from cadran.core.ledger.reader import History
        from cadran.core.result import Result, arranged, dates

        question = self.asked(
            saved_query,
            ask(metrics, group_by, where, order_by, limit, start, end, min_max_only=min_max_only,
                apply_group_by=apply_group_by, ordered=ordered, confined=confined,
                partial=saved_query is not None),
        )  # fmt: skip
        if version is not None:
            from cadran.core.versions.frozen import answer

            if not governed:
                raise QueryError("A version is asked as its card allowed: leave governed as it is.")
            return answer(self, question, version, known_at=known_at, view=view)
        sql, question = self._planned(question, governed=governed)
        cards = self._cards_of(question)
        if known_at is not None or view is not None:
            return self._as_published(question, sql, cards, known_at, view)
        table = arranged(self.warehouse.arrow(sql, dates(question)), question)
        history = History(self.warehouse, question, cards)
        return Result(table, sql, question, cards, governed=governed or not cards, history=history)

    def kpi(self, name: str) -> Kpi:
        """One KPI to look at: its card, its values, its picture.

        Raises:
            UnknownNameError: there is no such KPI.
        """
        from cadran.notebook import Kpi

        return Kpi(self, name)

    def sql(self, *args: Any, **kwargs: Any) -> str:
        """The SQL of a question; takes the arguments of `query`, and runs nothing.

        Raises:
            CadranError: as `query`, but for what only the warehouse can refuse.
        """
        governed, saved = kwargs.pop("governed", True), kwargs.pop("saved_query", None)
        question = self.asked(saved, ask(*args, partial=saved is not None, **kwargs))
        return self._planned(question, governed=governed)[0]

    @cached_property
    def warehouse(self) -> warehouse.Warehouse:
        """The warehouse, opened by its first statement."""
        return warehouse.connect(
            self.project.database, self.project.database_alias, confined=self._confined
        )

    def close(self) -> None:
        """Let go of the warehouse file; the next question opens it again."""
        self.warehouse.close()

    def dimension_values(
        self, dimension: str, metrics: str | Iterable[str] = (), *, governed: bool = True
    ) -> list[Any]:
        """The values of a dimension as far as the metrics have them, sorted, without NULL.

        Args:
            dimension: its name; a time with its grain.
            metrics: one name or several, or none for all values that there are.
            governed: hold the KPIs among the metrics to their cards.

        Raises:
            UnknownNameError: the metrics have no such dimension.
            NotGovernedError: it is not on the card of a KPI among them.
        """
        question = ask(metrics, [dimension])
        cards = self._cards_of(question)
        if cards and governed:
            question = govern(question, list(cards.values()), self._all_dimensions)
        key = self._key("values", question.key())
        sql: str | None = self._plans.get(key)
        if sql is None:
            sql = self._compiler.dimension_values_sql(question.group_by[0], question.metrics)
            self._plans.put(key, sql)
        from cadran.core.result import dates

        table = self.warehouse.arrow(sql, dates(question))
        return sorted(value for value in table.column(0).to_pylist() if value is not None)

    def asked(self, saved_query: str | None, asked: Query) -> Query:
        """A question with what its saved query asks written out.

        Raises:
            UnknownNameError: there is no such saved query.
        """
        if saved_query is None:
            return asked
        saved = self.saved_query(saved_query)
        return replace(
            asked,
            metrics=(*saved.metrics, *(m for m in asked.metrics if m not in saved.metrics)),
            group_by=(*saved.group_by, *(g for g in asked.group_by if g not in saved.group_by)),
            where=(*saved.where, *asked.where),
            order_by=asked.order_by or saved.order_by,
            limit=saved.limit if asked.limit is None else asked.limit,
        )

    def _planned(self, question: Query, *, governed: bool) -> tuple[str, Query]:
        """The SQL of a question, and the question as its KPIs' cards let it stand.

        Only what was found sound is kept, and the cards are part of the manifest in the key: a kept
        plan needs neither its filters read nor its cards checked again.
        """
        known = self._known.get((question, governed))
        if known is None:
            key = self._key("plan", question.key(), governed)
            kept: dict[str, Any] | None = self._plans.get(key)
            if kept is None:
                kept = self._compiled(question, governed=governed)
                self._plans.put(key, kept)
            groups = tuple(GroupBy(*parts) for parts in kept["group_by"])
            known = kept["sql"], replace(question, group_by=groups)
            self._known[question, governed] = known
        return known

    def _as_published(
        self,
        question: Query,
        sql: str,
        cards: dict[str, Card],
        known_at: str | dt.date | None,
        view: str | None,
    ) -> Result:
        """The answer of the ledger, or for `restated` and `both` that of now with it."""
        from cadran.core.ledger.reader import VIEWS, History, Reader, beside, has_ledger
        from cadran.core.result import Result, arranged, dates

        if view not in (None, *VIEWS):
            raise UnknownNameError("view", str(view), VIEWS)
        for name in question.metrics:
            self.card(name)
        if view == "restated" and known_at is None:
            table = arranged(self.warehouse.arrow(sql, dates(question)), question)
            return Result(
                table, sql, question, cards, governed=True,
                history=History(self.warehouse, question, cards),
            )  # fmt: skip
        self._has_ledger = self._has_ledger or has_ledger(self.warehouse)
        if not self._has_ledger:
            raise QueryError("Nothing was published yet: run `cadran publish`.")
        # The ledger's rows are cells: `confined` holds of them as any filter on their keys does.
        asked = replace(question, where=self._templates((*question.where, *question.confined)))
        reader = Reader(self.warehouse, asked, known_at, "published" if view == "both" else view)
        told = reader.sql()
        if view == "both":
            told = beside(sql, told, question)
        table = arranged(self.warehouse.arrow(told, dates(question)), question)
        history = History(self.warehouse, question, cards, reader)
        return Result(table, told, question, cards, governed=True, history=history)

    def _compiled(self, question: Query, *, governed: bool) -> dict[str, Any]:
        for name in question.metrics:
            self.metric(name)
        if question.where:
            question = replace(question, where=self._templates(question.where))
        cards = self._cards_of(question)
        if cards and governed:
            question = govern(question, list(cards.values()), self._all_dimensions)
        self.refuse_open_range(question)
        if question.confined:
            where = (*question.where, *self._templates(question.confined))
            question = replace(question, where=where, confined=())
        if question.limit == 0:
            whole = replace(question, limit=None, ordered=False, order_by=())
            sql = f"select * from (\n{self._compiler.sql(whole)}\n) as answer limit 0"
        else:
            sql = self._compiler.sql(question)
        groups = [[group.name, group.grain, group.date_part] for group in question.group_by]
        return {"sql": sql, "group_by": groups}

    def _templates(self, conditions: Iterable[str]) -> tuple[str, ...]:
        from cadran.core.query.filters import Fields, templated

        fields = Fields.of(self.project.semantic_manifest)
        return tuple(templated(text, fields) for text in conditions)

    def _cards_of(self, question: Query) -> dict[str, Card]:
        return {name: self.card(name) for name in question.metrics if self.is_kpi(name)}


def open_layer(
    project_dir: Path | str | None = ".",
    *,
    manifest: Path | str | None = None,
    database: Path | str | None = None,
    plan_cache: bool = True,
) -> Layer:
    """The layer of a built dbt project, or of a semantic manifest and a warehouse.

    Args:
        project_dir: the folder of the dbt project.
        manifest: a `semantic_manifest.json`, instead of a project.
        database: the DuckDB file; by default the one of the project's profile.
        plan_cache: False keeps compiled questions in memory only.

    Raises:
        ProjectError: there is no dbt project there.
    """
    return Layer(artifacts.find(project_dir, manifest, database), plan_cache=plan_cache)
