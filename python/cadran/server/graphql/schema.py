"""The schema of the dbt Semantic Layer's GraphQL API, and what answers each field of it.

A server serves one environment: `environmentId` is taken in any form, and not looked at.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.types import Info

from cadran.core.query import request
from cadran.errors import QueryError
from cadran.server.graphql import context, jobs
from cadran.server.graphql import types as t
from cadran.server.graphql.context import ResolverContext
from cadran.server.graphql.jobs import Job
from cadran.server.graphql.metadata import Metadata, known_grains, where
from cadran.server.graphql.types import (
    BigInt,
    CompileSqlResult,
    CompleteThrough,
    Config,
    Dimension,
    Entity,
    EnvironmentInfo,
    GroupByInput,
    Measure,
    MetricInput,
    MetricType,
    MetricTypeParams,
    OrderByInput,
    Page,
    PandasJsonOrient,
    QueryHandle,
    QueryStatus,
    SavedQuery,
    TimeGranularity,
    WhereFilter,
    WhereInput,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql import GraphQLSchema

    from cadran.core.query.request import GroupBy


# Strawberry reads the annotations as it runs.
# ruff: noqa: TC001


@strawberry.type
class Metric:
    """A measurement with a name; a KPI carries its card in `config`."""

    metadata: strawberry.Private[Metadata]
    name: str
    label: str
    description: str | None
    type: MetricType

    @strawberry.field
    def requires_metric_time(self) -> bool:
        """Whether it means something only by time."""
        return self.metadata.manifest.graph.needs_time(self.name)

    @strawberry.field
    def queryable_granularities(self) -> list[TimeGranularity]:
        """The grains of `metric_time` at which it can be asked."""
        return known_grains(self.metadata.grains([self.name]))

    @strawberry.field
    def queryable_time_granularities(self) -> list[str]:
        """The same by name, with those that the project made."""
        return self.metadata.grains([self.name])

    @strawberry.field
    def dimensions(self) -> list[Dimension]:
        """What it can be grouped by."""
        return self.metadata.dimensions([self.name])

    @strawberry.field
    def entities(self) -> list[Entity]:
        """The keys that it can be grouped by."""
        return self.metadata.entities([self.name])

    @strawberry.field
    def measures(self) -> list[Measure]:
        """The aggregations that it is made of."""
        return self.metadata.measures([self.name])

    @strawberry.field
    def filter(self) -> WhereFilter | None:
        """The filter in its definition."""
        return where(self.metadata.manifest.filters(self.metadata.manifest.metrics[self.name]))

    @strawberry.field
    def type_params(self) -> MetricTypeParams:
        """What it is made of."""
        return self.metadata.type_params(self.name)

    @strawberry.field
    def config(self) -> Config | None:
        """What it carries: of a KPI, its card under `meta.kpi`."""
        return self.metadata.meta(self.name)


# The arguments are those of the API: `environmentId` everywhere, and eight of a question.
# ruff: noqa: ARG002, FBT001, PLR0913, PLR0917


_ResolverInfo = Info[ResolverContext, None]


@strawberry.type
class Mutation:
    """What can be begun."""

    @strawberry.mutation
    def create_query(
        self,
        info: _ResolverInfo,
        environment_id: BigInt,
        metrics: list[MetricInput] | None = None,
        group_by: list[GroupByInput] | None = None,
        where: list[WhereInput] | None = None,
        order_by: list[OrderByInput] | None = None,
        limit: int | None = None,
        saved_query: str | None = None,
        read_cache: bool | None = None,
        complete: bool | None = None,
    ) -> QueryHandle:
        """Begin to answer a question; ask `query` for what came of it."""
        layer = info.context.state.layer
        query = partial(
            context.query_of,
            layer,
            metrics,
            group_by,
            where,
            order_by,
            limit,
            saved_query,
            complete=complete is True,
        )
        job = info.context.create(query, read_cache=read_cache is not False)
        return QueryHandle(query_id=job.id)

    @strawberry.mutation
    def create_dimension_values_query(
        self,
        info: _ResolverInfo,
        environment_id: BigInt,
        group_by: list[GroupByInput],
        metrics: list[MetricInput] | None = None,
    ) -> QueryHandle:
        """Begin to list the values of a dimension."""
        job = info.context.create_values(context.names(metrics), _single_group(group_by))
        return QueryHandle(query_id=job.id)

    @strawberry.mutation
    def compile_sql(
        self,
        info: _ResolverInfo,
        environment_id: BigInt,
        metrics: list[MetricInput] | None = None,
        group_by: list[GroupByInput] | None = None,
        where: list[WhereInput] | None = None,
        order_by: list[OrderByInput] | None = None,
        limit: int | None = None,
        saved_query: str | None = None,
        read_cache: bool | None = None,
        complete: bool | None = None,
    ) -> CompileSqlResult:
        """The SQL of a question; nothing is run."""
        query = context.query_of(
            info.context.state.layer, metrics, group_by, where, order_by, limit, saved_query,
            complete=complete is True,
        )  # fmt: skip
        return CompileSqlResult(sql=info.context.sql(query))

    @strawberry.mutation
    def compile_dimension_values_sql(
        self,
        info: _ResolverInfo,
        environment_id: BigInt,
        group_by: list[GroupByInput],
        metrics: list[MetricInput] | None = None,
    ) -> CompileSqlResult:
        """The SQL that lists the values of a dimension; nothing is run."""
        fields = {"group_by": [_single_group(group_by)], "metrics": context.names(metrics)}
        return CompileSqlResult(sql=info.context.sql(request.Query.of(fields)))

    @strawberry.mutation
    def cancel_query(
        self, info: _ResolverInfo, environment_id: BigInt, query_id: str
    ) -> QueryHandle:
        """Stop a query that the caller created."""
        return QueryHandle(query_id=info.context.cancel(query_id).id)


def _single_group(groups: Sequence[GroupByInput]) -> GroupBy:
    if len(groups) != 1:
        raise QueryError("groupBy takes the one dimension whose values are wanted.")
    return context.group(groups[0])


@strawberry.type
class QueryResult:
    """A created query: how it stands, and pages of its answer."""

    job: strawberry.Private[Job]
    page: strawberry.Private[int]

    @strawberry.field
    def query_id(self) -> str:
        """Its number."""
        return self.job.id

    @strawberry.field
    def status(self) -> QueryStatus:
        """How it stands."""
        return QueryStatus(self.job.status)

    @strawberry.field
    def sql(self) -> str | None:
        """What the warehouse ran."""
        return self.job.outcome.sql if self.job.outcome else None

    @strawberry.field
    def note(self) -> str | None:
        """What has to be said beside the numbers; empty when nothing has."""
        return self.job.outcome.note if self.job.outcome else None

    @strawberry.field
    def complete_through(self) -> list[CompleteThrough]:
        """Until which day each metric is whole in the data."""
        days = self.job.outcome.complete_through if self.job.outcome else {}
        return [CompleteThrough(metric=metric, day=day) for metric, day in days.items()]

    @strawberry.field
    def watermark(self) -> str | None:
        """The instant up to which what landed is in the answer; null where nothing is live."""
        return self.job.outcome.watermark if self.job.outcome else None

    @strawberry.field
    def error(self) -> str | None:
        """What was wrong."""
        return self.job.outcome.error if self.job.outcome else None

    @strawberry.field
    def total_pages(self) -> int | None:
        """How many pages the answer has."""
        table = self.job.table
        return None if table is None else jobs.count(table)

    @strawberry.field
    def arrow_result(self) -> str | None:
        """The page as a stream of Arrow IPC, in base64."""
        table = self.job.table
        return None if table is None else jobs.arrow(jobs.page_of(table, self.page))

    @strawberry.field
    def json_result(
        self,
        orient: PandasJsonOrient = PandasJsonOrient.TABLE,
        encoded: bool = True,  # noqa: FBT002
    ) -> str | None:
        """The page as JSON as pandas writes it, in base64 unless asked otherwise."""
        table = self.job.table
        if table is None:
            return None
        return jobs.as_json(jobs.page_of(table, self.page), orient.value, encoded=encoded)


# The arguments are those of the API, `environmentId` everywhere.
# ruff: noqa: ARG002, PLR0913, PLR0917


_Item = TypeVar("_Item")


@strawberry.type(name="Query")
class QueryRoot:
    """What can be read."""

    @strawberry.field
    def environment_info(self, info: _ResolverInfo, environment_id: BigInt) -> EnvironmentInfo:
        """What the numbers are computed by."""
        dialect = info.context.state.layer.warehouse.dialect
        return EnvironmentInfo(
            sql_dialect=t.SqlDialect(dialect),
            has_metrics_defined=bool(info.context.metadata.names()),
            dialect=t.SqlEngine(dialect),
            dialect_supported_by_slg=True,
        )

    @strawberry.field
    def metrics(
        self, info: _ResolverInfo, environment_id: BigInt, search: str | None = None
    ) -> list[Metric]:
        """Every metric."""
        return _metrics(info.context.metadata, search)

    @strawberry.field
    def metrics_paginated(
        self,
        info: _ResolverInfo,
        environment_id: BigInt,
        search: str | None = None,
        search_terms: list[str] | None = None,
        group_by: list[GroupByInput] | None = None,
        page_num: int = 1,
        page_size: int | None = None,
    ) -> Page[Metric]:
        """The metrics that can be grouped by all of something, by pages.

        Of several search terms, one that is found is enough.
        """
        metadata = info.context.metadata
        items = _grouped(metadata, _metrics(metadata, search, search_terms), group_by or ())
        return _page(items, page_num, page_size)

    @strawberry.field
    def metrics_for_dimensions(
        self, info: _ResolverInfo, environment_id: BigInt, dimensions: list[GroupByInput]
    ) -> list[Metric]:
        """The metrics that can be grouped by all these."""
        metadata = info.context.metadata
        return _grouped(metadata, _metrics(metadata, None), dimensions)

    @strawberry.field
    def dimensions(
        self,
        info: _ResolverInfo,
        environment_id: BigInt,
        metrics: list[MetricInput],
        search: str | None = None,
    ) -> list[Dimension]:
        """What metrics can be grouped by together."""
        return _matching(info.context.metadata.dimensions(context.names(metrics)), search)

    @strawberry.field
    def dimensions_paginated(
        self,
        info: _ResolverInfo,
        environment_id: BigInt,
        metrics: list[MetricInput],
        search: str | None = None,
        page_num: int = 1,
        page_size: int | None = None,
    ) -> Page[Dimension]:
        """What metrics can be grouped by together, by pages."""
        items = _matching(info.context.metadata.dimensions(context.names(metrics)), search)
        return _page(items, page_num, page_size)

    @strawberry.field
    def entities(
        self,
        info: _ResolverInfo,
        environment_id: BigInt,
        metrics: list[MetricInput] | None = None,
        search: str | None = None,
    ) -> list[Entity]:
        """The keys that metrics can be grouped by together."""
        return _matching(info.context.metadata.entities(context.names(metrics)), search)

    @strawberry.field
    def entities_paginated(
        self,
        info: _ResolverInfo,
        environment_id: BigInt,
        metrics: list[MetricInput] | None = None,
        search: str | None = None,
        page_num: int = 1,
        page_size: int | None = None,
    ) -> Page[Entity]:
        """The keys that metrics can be grouped by together, by pages."""
        items = _matching(info.context.metadata.entities(context.names(metrics)), search)
        return _page(items, page_num, page_size)

    @strawberry.field
    def measures(
        self, info: _ResolverInfo, environment_id: BigInt, metrics: list[MetricInput]
    ) -> list[Measure]:
        """The aggregations that metrics are made of."""
        return info.context.metadata.measures(context.names(metrics))

    @strawberry.field
    def queryable_granularities(
        self, info: _ResolverInfo, environment_id: BigInt, metrics: list[MetricInput]
    ) -> list[TimeGranularity]:
        """The grains of `metric_time` at which metrics can be asked together."""
        metadata = info.context.metadata
        return known_grains(metadata.grains(metadata.known(context.names(metrics))))

    @strawberry.field
    def queryable_time_granularities(
        self, info: _ResolverInfo, environment_id: BigInt, metrics: list[MetricInput]
    ) -> list[str]:
        """The same by name, with those that the project made."""
        metadata = info.context.metadata
        return metadata.grains(metadata.known(context.names(metrics)))

    @strawberry.field
    def saved_queries(
        self, info: _ResolverInfo, environment_id: BigInt, search: str | None = None
    ) -> list[SavedQuery]:
        """Every saved query."""
        return _matching(info.context.metadata.saved_queries(), search)

    @strawberry.field
    def saved_queries_paginated(
        self,
        info: _ResolverInfo,
        environment_id: BigInt,
        search: str | None = None,
        page_num: int = 1,
        page_size: int | None = None,
    ) -> Page[SavedQuery]:
        """The saved queries, by pages."""
        return _page(_matching(info.context.metadata.saved_queries(), search), page_num, page_size)

    @strawberry.field
    def saved_query(
        self, info: _ResolverInfo, environment_id: BigInt, saved_query_name: str
    ) -> SavedQuery:
        """One saved query."""
        return info.context.metadata.saved_query(saved_query_name)

    @strawberry.field
    def query(
        self, info: _ResolverInfo, environment_id: BigInt, query_id: str, page_num: int = 1
    ) -> QueryResult:
        """A query that the caller created."""
        job = info.context.job(query_id)
        if job.table is not None:
            jobs.page_of(job.table, page_num)
        return QueryResult(job=job, page=page_num)


def graphql_schema() -> GraphQLSchema:
    """The schema, for graphql-core."""
    schema = strawberry.Schema(QueryRoot, Mutation, config=StrawberryConfig(scalar_map=t.SCALARS))
    return schema._schema  # noqa: SLF001 - documents are validated and run by graphql-core alone


def _metrics(
    metadata: Metadata, search: str | None, terms: Sequence[str] | None = None
) -> list[Metric]:
    metrics = [
        Metric(
            metadata=metadata,
            name=metric["name"],
            label=metric["label"],
            description=metric["description"],
            type=MetricType(metric["type"]),
        )
        for metric in metadata.metrics()
    ]
    return _matching(_matching(metrics, search), *(terms or ()))


def _grouped(
    metadata: Metadata, metrics: list[Metric], groups: Sequence[GroupByInput]
) -> list[Metric]:
    bases = {context.group(item).base for item in groups}
    if not bases:
        return metrics
    return [
        item
        for item in metrics
        if bases <= {group["name"] for group in metadata.group_bys([item.name])}
    ]


def _matching(items: list[_Item], *searches: str | None) -> list[_Item]:
    """The items that one of the texts is found in; all of them where none says anything."""
    words = [text for search in searches if (text := (search or "").strip().lower())]
    if not words:
        return items
    named = ("name", "label", "description")
    return [
        item
        for item in items
        if any(
            word in str(getattr(item, name, None) or "").lower() for name in named for word in words
        )
    ]


def _page(items: list[_Item], number: int, size: int | None) -> Page[_Item]:
    if number < 1 or (size is not None and size < 1):
        raise QueryError("pageNum and pageSize are whole numbers from 1 up.")
    each = size or max(1, len(items))
    return Page(
        items=items[(number - 1) * each : number * each],
        page_num=number,
        page_size=each,
        total_items=len(items),
        total_pages=-(-len(items) // each),
    )
