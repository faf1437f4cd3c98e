"""The layer: the one door through which every number leaves."""

from __future__ import annotations

import datetime as dt
import difflib
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cadran.core import warehouse
from cadran.core.comparison import Comparison
from cadran.core.ledger.reader import (
    VIEWS,
    History,
    Reader,
    has_ledger,
    versioned,
    with_published,
)
from cadran.core.project import artifacts
from cadran.core.query.request import DAY_OR_COARSER, GroupBy, Query, ask
from cadran.core.reach import Reaches
from cadran.core.result import Result, Told, arranged, dates
from cadran.core.routing import Route, Router
from cadran.core.semantics.governed import TIME
from cadran.core.semantics.model import SemanticModel
from cadran.errors import (
    BusyError,
    CadranError,
    LimitError,
    ProjectError,
    QueryError,
    StoppedError,
    UnknownNameError,
    WarehouseError,
)
from cadran.formats import periods

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cadran.core.project.cards import Card
    from cadran.core.reach import Reach
    from cadran.core.versions.evidence import Evidence
    from cadran.core.versions.frozen import Versions
    from cadran.core.versions.meaning import SemanticFingerprints


_LOCAL_TIMES = frozenset({"DATE", "TIMESTAMP"})
_TIMES = _LOCAL_TIMES | {"TIMESTAMP WITH TIME ZONE"}
_FEW = 100
_TOLD, _SHOWN = 5, 100  # values of a filter that do not exist, and characters of each


class Layer(SemanticModel):
    """Answers questions about the KPIs and metrics of one built project. Thread-safe."""

    def __init__(
        self,
        built: artifacts.Project,
        *,
        plan_cache: bool = True,
        confined: warehouse.Confinement | None = None,
        opened: warehouse.Warehouse | None = None,
        is_routed: bool = True,
    ) -> None:
        """Take a project; nothing is read until it is needed.

        Args:
            built: the project.
            plan_cache: False keeps compiled questions in memory only.
            confined: what the warehouse may use; None where it answers its own user.
            opened: the warehouse, where it is open already.
            is_routed: whether pre-aggregates are read where they answer exactly.
        """
        super().__init__(built, plan_cache=plan_cache)
        self._is_routed = is_routed
        self._confined = confined
        self._opened = opened
        self._has_ledger = False
        self._column_types: dict[str, dict[str, str]] = {}
        # Each with the state of the warehouse that it was read of.
        self._reaches: tuple[object, Reaches] | None = None
        self._versioned: tuple[object, frozenset[str]] | None = None

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
        complete: bool = False,
        compare: str | None = None,
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
            view: "published", "restated", "both" or "spliced"; see `cadran.core.ledger.reader`.
            version: a version of one KPI, by its frozen SQL; when what that reads is gone, by
                what was published of it, and the result's note says so. With `known_at`, what the
                ledger held of it.
            complete: only periods that every source has whole: the running one is left out.
            compare: set earlier values beside these: "previous", of the period before; "year", of
                the same one a year before; "same_days", of as many days before on the same
                weekdays. For each metric `m` come `m__base`, `m__change` (in its unit, in points
                where that is %), `m__change_percent` and `m__like_for_like`. Of a running period
                the whole days so far stand beside the same days.

        Raises:
            UnknownNameError: a name does not exist.
            NotGovernedError: a KPI is asked at a grain or dimension that is not on its card.
            QueryError: the question makes no sense.
            WarehouseError: the warehouse cannot be read or refuses a filter.
        """
        query = ask(
            metrics, group_by, where, order_by, limit, start, end, min_max_only=min_max_only,
            apply_group_by=apply_group_by, ordered=ordered, confined=confined,
            saved_query=saved_query, version=version, known_at=known_at, view=view,
            governed=governed, complete=complete, compare=compare,
        )  # fmt: skip
        result = self.answer(query)
        if not query.confined:  # what others may not see, no note tells them
            result.note = f"{result.note} {self._unknown_values(result)}".strip()
        return result

    def answer(self, query: Query) -> Result:
        """The answer to a question in its one form.

        Raises:
            CadranError: as `query`.
        """
        if query.compare is not None:
            return self._compared(query)
        query = self._of_complete_periods(query)
        of_now = self.resolved(query).of_now
        if query.version is not None:
            if not query.governed:
                raise QueryError("A version is asked as its card allowed: leave governed as it is.")
            return self.versions.answer(
                of_now, query.version, known_at=query.known_at, view=query.view,
                reach=self.complete_through,
            )  # fmt: skip
        sql, of_now = self.plan(of_now)
        cards = self.cards_of(of_now)
        notes = [self.ranges.note(of_now), self.ranges.offset_note(of_now)]
        note = " ".join(filter(None, [*notes, *(card.draft_note for card in cards.values())]))
        if query.known_at is not None or query.view is not None:
            return self._as_published(of_now, sql, cards, query.known_at, query.view)
        governed = query.governed or not cards
        route = self._routed(of_now, sql)
        return self._answer(
            of_now, route.sql, cards, governed=governed, note=note, source=route.source
        )

    def sql(self, *args: Any, **kwargs: Any) -> str:
        """The SQL of a question; takes the arguments of `query`, and runs nothing.

        Raises:
            CadranError: as `query`, but for what only the warehouse can refuse.
        """
        query = ask(*args, **kwargs)
        if query.of_now is not query or query.compare is not None:
            raise QueryError(
                "sql gives the SQL of the values of now: leave out version, known_at, view and"
                " compare."
            )
        return self.compiled(query)

    def compiled(self, query: Query) -> str:
        """The SQL by which a question is answered from the values of now; nothing else is run.

        Raises:
            CadranError: as `plan`.
        """
        return self.route(query).sql

    def route(self, query: Query) -> Route:
        """From which rows a question about the values of now is answered, and why.

        Raises:
            CadranError: as `plan`.
        """
        sql, of_now = self.plan(self.resolved(self._of_complete_periods(query)).of_now)
        return self._routed(of_now, sql)

    def _routed(self, query: Query, sql: str) -> Route:
        return self.router.route(query, sql) if self._is_routed else Route(sql, "")

    @cached_property
    def router(self) -> Router:
        """What chooses between facts and pre-aggregates."""
        return Router(self, lambda: self.warehouse, self.over)

    @cached_property
    def warehouse(self) -> warehouse.Warehouse:
        """The warehouse, opened by its first statement."""
        return self._opened or warehouse.connect(
            self.project.database, self.project.database_alias, confined=self._confined
        )

    @cached_property
    def meanings(self) -> SemanticFingerprints:
        """What each KPI means down to its sources; the project is compiled when one is asked."""
        from cadran.core.versions.meaning import SemanticFingerprints

        return SemanticFingerprints(self)

    @cached_property
    def evidence(self) -> Evidence:
        """What proves that versions were approved."""
        from cadran.core.versions.evidence import Evidence

        return Evidence(self.project.root)

    @cached_property
    def versions(self) -> Versions:
        """The old versions of KPIs, on the data there are now."""
        from cadran.core.versions.frozen import Versions

        return Versions(self, self.warehouse, self.meanings)

    def is_time(self, relation: str, column: str) -> bool:
        """Whether a column of the warehouse is a date or an instant.

        Args:
            relation: as compiled SQL names it.
            column: its name; False where the warehouse cannot tell its type.
        """
        return self._type_of(relation, column) in _TIMES

    def is_local_time(self, relation: str, column: str) -> bool:
        """Whether a column of the warehouse is a date or an instant without a time zone."""
        return self._type_of(relation, column) in _LOCAL_TIMES

    def has_few_values(self, relation: str, column: str) -> bool:
        """Whether a column of the warehouse is known to have few distinct values."""
        count = self.warehouse.distinct_values(relation, column)
        return count is not None and count <= _FEW

    def _type_of(self, relation: str, column: str) -> str | None:
        if relation not in self._column_types:
            try:
                types = self.warehouse.column_types(f"select * from {relation}")
            except BusyError:
                raise
            except WarehouseError:
                return None
            self._column_types[relation] = types
        return self._column_types[relation].get(column)

    def over(self, project: artifacts.Project) -> Layer:
        """A layer of other definitions, which answers by the same connection."""
        return Layer(project, opened=self.warehouse, is_routed=self._is_routed)

    def close(self) -> None:
        """Let go of the warehouse file; the next question opens it again."""
        self.warehouse.close()

    @property
    def reaches(self) -> Reaches:
        """How far the sources of metrics reach in the warehouse as it stands."""
        stamp, known = self.warehouse.stamp(), self._reaches
        if known is None or stamp != known[0]:
            known = self._reaches = stamp, Reaches(self, self.warehouse.arrow)
        return known[1]

    def versioned(self) -> frozenset[str]:
        """The KPIs of which values by several versions were published, as the warehouse stands."""
        stamp, known = self.warehouse.stamp(), self._versioned
        if known is None or stamp is None or stamp != known[0]:
            known = self._versioned = stamp, versioned(self.warehouse)
        return known[1]

    def complete_through(self, name: str) -> dt.date | None:
        """The last day that is whole in every source of a metric; None when they are empty.

        Raises:
            UnknownNameError: there is no such metric.
        """
        return self.reaches.complete_through(self.metric(name)["name"])

    def _of_complete_periods(self, query: Query) -> Query:
        """A question of complete periods only as one that ends with the last of them."""
        if not query.complete:
            return query
        query = replace(query, complete=False)
        resolved = self.resolved(query)
        times = [group for group in self.allowed(resolved).group_by if group.base == TIME]
        grains = [g.asked_grain for g in times if g.asked_grain in DAY_OR_COARSER]
        if not resolved.metrics or not grains:
            raise QueryError(
                "complete leaves out periods that are not whole: group by metric_time at a day or"
                " a longer grain, such as metric_time__month."
            )
        days = [self.complete_through(name) for name in resolved.metrics]
        known = [day for day in days if day is not None]
        if not known:
            return query
        ends = [periods.last_of(periods.last_complete(min(known), g), g) for g in grains if g]
        end = dt.datetime.combine(min(ends), dt.time.max)
        if query.start is not None and query.start > end:
            return replace(query, limit=0)  # none of them is complete yet
        return replace(query, end=end if query.end is None else min(end, query.end))

    def last_day(self) -> dt.date:
        """The last day of the data: as far as a source of a KPI reaches within the daily spine.

        Raises:
            ProjectError: the project has no time spine by day.
            WarehouseError: the warehouse cannot be read, or holds no data.
        """
        end = self._end_of_spine()
        names = [card.name for card in self.kpis()]
        reaches: list[Reach] = []
        for group in (names, *([name] for name in names)):
            try:
                reaches += self.reaches.of(*group)
            except (BusyError, LimitError, StoppedError):
                raise
            except CadranError:
                continue  # what cannot be asked is told when its values are
            if group is names:
                break  # else one of them spoils no other
        ends = [(reach.until - dt.timedelta(microseconds=1)).date() for reach in reaches]
        return min(end, max(ends, default=end))

    def _end_of_spine(self) -> dt.date:
        for spine in self.project.semantic_manifest["project_configuration"]["time_spines"]:
            column, relation = spine["primary_column"], spine["node_relation"]["relation_name"]
            if column["time_granularity"] != "day":
                continue
            sql = f"select max({column['name']}) as last_day from {relation}"
            day: dt.date | None = self.warehouse.arrow(sql, {"last_day"}).column(0)[0].as_py()
            if day is None:
                raise WarehouseError(f"{relation} is empty: there is no data to show.")
            return day
        raise ProjectError(
            "The project has no time spine by day, so no period is known to end: `cadran init`"
            " writes one."
        )

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
        query = ask(metrics, [dimension], governed=governed)
        by_period = self.by_period(query)
        sql, query = self.plan_values(query) if by_period == query else self.plan(by_period)
        values = self.warehouse.arrow(sql, dates(query)).column(0).to_pylist()
        return sorted({value for value in values if value is not None})

    def _answer(  # noqa: PLR0913 - what an answer carries beside its rows
        self,
        query: Query,
        sql: str,
        cards: dict[str, Card],
        *,
        governed: bool = True,
        reader: Reader | None = None,
        beside: dict[str, Any] | None = None,
        note: str = "",
        source: str = "",
    ) -> Result:
        watermark = self.warehouse.watermark(sql)  # before: what lands meanwhile may be missing
        if reader:  # what the ledger says is read where it is, beside values of now or alone
            table = self.warehouse.ledger.arrow_beside(sql, beside or {}, dates(query))
        else:
            table = self.warehouse.arrow(sql, dates(query))
        table = arranged(table, query)
        history = History(self.warehouse, query, cards, self.versioned, reader)
        return Result(
            table, sql, query, cards, governed=governed, history=history, note=note,
            watermark=watermark, source=source,
            # What was published was complete.
            reach=None if reader else self.complete_through,
        )  # fmt: skip

    def _compared(self, query: Query) -> Result:
        """An answer beside that of earlier days; each side is an answer as any other."""
        results: list[Result] = []

        def answer(side: Query) -> Result:
            results.append(self.answer(side))
            return results[-1]

        both = Comparison(
            query, self, answer, self.complete_through, self.reaches.begins_within
        ).result()
        first = results[0]
        marks = [result.watermark for result in results if result.watermark]
        return Result(
            both.table, first.sql, both.query, self.cards_of(both.query),
            governed=first.governed, history=Told(first.versions, both.breaks), note=both.note,
            source="; ".join(dict.fromkeys(result.source for result in results)),
            watermark=min(marks, default=None), reach=self.complete_through,
        )  # fmt: skip

    def _unknown_values(self, result: Result) -> str:
        """Which values of the filters of an empty answer do not exist, with those near them."""
        table, query = result.to_arrow(), result.query
        if not query.metrics or any(
            value.as_py() for name in query.metrics for value in table.column(name)
        ):
            return ""
        notes = []
        for comparison in (c for one in self.conditions(query.where) for c in one.comparisons):
            if comparison.operator not in {"=", "in"} or comparison.field.kind != "Dimension":
                continue
            wanted = [value.text for value in comparison.values if value.kind == "text"]
            name = comparison.field.group.column
            values = self.dimension_values(name, query.metrics, governed=False) if wanted else []
            by_folded = {str(value).casefold().strip(): str(value) for value in values}
            known = set(by_folded.values())
            unknown = [text[:_SHOWN] for text in wanted if text not in known]
            for text in unknown[:_TOLD]:
                near = difflib.get_close_matches(text.casefold().strip(), by_folded, 3, 0.5)
                meant = f"; near: {', '.join(repr(by_folded[one]) for one in near)}" if near else ""
                notes.append(f"{name} has no value {text!r}{meant}.")
        return " ".join(notes)

    def _as_published(
        self,
        query: Query,
        sql: str,
        cards: dict[str, Card],
        known_at: str | dt.date | None,
        view: str | None,
    ) -> Result:
        """The answer of the ledger, or for `restated` and `both` that of now with it."""
        if view not in (None, *VIEWS):
            raise UnknownNameError("view", str(view), VIEWS)
        for name in query.metrics:
            self.card(name)
        if view == "restated" and known_at is None:
            return self._answer(query, sql, cards)
        self._has_ledger = self._has_ledger or has_ledger(self.warehouse)
        if not self._has_ledger:
            raise QueryError("Nothing was published yet: run `cadran publish`.")
        # The ledger's rows are cells: `confined` holds of them as any filter on their keys does.
        cells = replace(query, where=self.conditions((*query.where, *query.confined)))
        reader = Reader(self.warehouse, cells, known_at, "published" if view == "both" else view)
        published = reader.sql()
        beside = {}
        if view == "both":
            if self.warehouse.ledger is not self.warehouse:
                beside["values_of_now"] = self.warehouse.arrow(sql, dates(query))
                sql = "select * from values_of_now"
            published = with_published(sql, published, query)
        return self._answer(query, published, cards, reader=reader, beside=beside, source="ledger")


def open_layer(
    project_dir: Path | str | None = ".",
    *,
    manifest: Path | str | None = None,
    database: Path | str | None = None,
    plan_cache: bool = True,
    is_routed: bool = True,
) -> Layer:
    """The layer of a built dbt project, or of a semantic manifest and a warehouse.

    Args:
        project_dir: the folder of the dbt project.
        manifest: a `semantic_manifest.json`, instead of a project.
        database: the DuckDB file; by default the one of the project's profile.
        plan_cache: False keeps compiled questions in memory only.
        is_routed: False reads facts alone, and no pre-aggregate.

    Definitions that are older than a file of the project are parsed again.

    Raises:
        ProjectError: there is no dbt project there, or a file of it is newer than its definitions
            and dbt, which would parse it, is not installed or refuses it.
    """
    project = artifacts.find(project_dir, manifest, database)
    if project.semantic_manifest_path.exists():
        from cadran.core.project import dbt

        dbt.refresh(project)
    return Layer(project, plan_cache=plan_cache, is_routed=is_routed)
