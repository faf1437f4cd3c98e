"""The schema of the dbt Semantic Layer's GraphQL API, and what answers each field of it.

A server serves one environment: `environmentId` is taken in any form, and not looked at.
"""

# The arguments are those of the API, `environmentId` everywhere.
# ruff: noqa: ARG002, PLR0913, PLR0917

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.types import Info

from cadran.errors import QueryError
from cadran.server.graphql import asked, pages
from cadran.server.graphql import types as t
from cadran.server.graphql.asking import Asking
from cadran.server.graphql.listing import Listing, known_grains
from cadran.server.graphql.metric import Metric
from cadran.server.graphql.mutations import Mutation
from cadran.server.graphql.result import QueryResult
from cadran.server.graphql.types import (
    BigInt,
    Dimension,
    Entity,
    EnvironmentInfo,
    GroupByInput,
    Measure,
    MetricInput,
    MetricType,
    Page,
    SavedQuery,
    TimeGranularity,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql import GraphQLSchema

_Item = TypeVar("_Item")
_Asked = Info[Asking, None]


@strawberry.type
class Query:
    """What can be read."""

    @strawberry.field
    def environment_info(self, info: _Asked, environment_id: BigInt) -> EnvironmentInfo:
        """What the numbers are computed by."""
        dialect = info.context.state.layer.warehouse.dialect
        return EnvironmentInfo(
            sql_dialect=t.SqlDialect(dialect),
            has_metrics_defined=bool(info.context.listing.names()),
            dialect=t.SqlEngine(dialect),
            dialect_supported_by_slg=True,
        )

    @strawberry.field
    def metrics(
        self, info: _Asked, environment_id: BigInt, search: str | None = None
    ) -> list[Metric]:
        """Every metric."""
        return _metrics(info.context.listing, search)

    @strawberry.field
    def metrics_paginated(
        self,
        info: _Asked,
        environment_id: BigInt,
        search: str | None = None,
        group_by: list[GroupByInput] | None = None,
        page_num: int = 1,
        page_size: int | None = None,
    ) -> Page[Metric]:
        """The metrics that can be grouped by all of something, by pages."""
        listing = info.context.listing
        found = _grouped(listing, _metrics(listing, search), group_by or ())
        return _page(found, page_num, page_size)

    @strawberry.field
    def metrics_for_dimensions(
        self, info: _Asked, environment_id: BigInt, dimensions: list[GroupByInput]
    ) -> list[Metric]:
        """The metrics that can be grouped by all these."""
        listing = info.context.listing
        return _grouped(listing, _metrics(listing, None), dimensions)

    @strawberry.field
    def dimensions(
        self,
        info: _Asked,
        environment_id: BigInt,
        metrics: list[MetricInput],
        search: str | None = None,
    ) -> list[Dimension]:
        """What metrics can be grouped by together."""
        return _found(info.context.listing.dimensions(asked.names(metrics)), search)

    @strawberry.field
    def dimensions_paginated(
        self,
        info: _Asked,
        environment_id: BigInt,
        metrics: list[MetricInput],
        search: str | None = None,
        page_num: int = 1,
        page_size: int | None = None,
    ) -> Page[Dimension]:
        """What metrics can be grouped by together, by pages."""
        found = _found(info.context.listing.dimensions(asked.names(metrics)), search)
        return _page(found, page_num, page_size)

    @strawberry.field
    def entities(
        self,
        info: _Asked,
        environment_id: BigInt,
        metrics: list[MetricInput] | None = None,
        search: str | None = None,
    ) -> list[Entity]:
        """The keys that metrics can be grouped by together."""
        return _found(info.context.listing.entities(asked.names(metrics)), search)

    @strawberry.field
    def entities_paginated(
        self,
        info: _Asked,
        environment_id: BigInt,
        metrics: list[MetricInput] | None = None,
        search: str | None = None,
        page_num: int = 1,
        page_size: int | None = None,
    ) -> Page[Entity]:
        """The keys that metrics can be grouped by together, by pages."""
        found = _found(info.context.listing.entities(asked.names(metrics)), search)
        return _page(found, page_num, page_size)

    @strawberry.field
    def measures(
        self, info: _Asked, environment_id: BigInt, metrics: list[MetricInput]
    ) -> list[Measure]:
        """The aggregations that metrics are made of."""
        return info.context.listing.measures(asked.names(metrics))

    @strawberry.field
    def queryable_granularities(
        self, info: _Asked, environment_id: BigInt, metrics: list[MetricInput]
    ) -> list[TimeGranularity]:
        """The grains of `metric_time` at which metrics can be asked together."""
        listing = info.context.listing
        return known_grains(listing.grains(listing.known(asked.names(metrics))))

    @strawberry.field
    def queryable_time_granularities(
        self, info: _Asked, environment_id: BigInt, metrics: list[MetricInput]
    ) -> list[str]:
        """The same by name, with those that the project made."""
        listing = info.context.listing
        return listing.grains(listing.known(asked.names(metrics)))

    @strawberry.field
    def saved_queries(
        self, info: _Asked, environment_id: BigInt, search: str | None = None
    ) -> list[SavedQuery]:
        """Every saved query."""
        return _found(info.context.listing.saved_queries(), search)

    @strawberry.field
    def saved_queries_paginated(
        self,
        info: _Asked,
        environment_id: BigInt,
        search: str | None = None,
        page_num: int = 1,
        page_size: int | None = None,
    ) -> Page[SavedQuery]:
        """The saved queries, by pages."""
        return _page(_found(info.context.listing.saved_queries(), search), page_num, page_size)

    @strawberry.field
    def saved_query(
        self, info: _Asked, environment_id: BigInt, saved_query_name: str
    ) -> SavedQuery:
        """One saved query."""
        return info.context.listing.saved_query(saved_query_name)

    @strawberry.field
    def query(
        self, info: _Asked, environment_id: BigInt, query_id: str, page_num: int = 1
    ) -> QueryResult:
        """A query that the caller created."""
        job = info.context.job(query_id)
        if job.table is not None:
            pages.page(job.table, page_num)
        return QueryResult(job=job, page=page_num)


def build() -> GraphQLSchema:
    """The schema, for graphql-core."""
    made = strawberry.Schema(Query, Mutation, config=StrawberryConfig(scalar_map=t.SCALARS))
    return made._schema  # noqa: SLF001 - documents are validated and run by graphql-core alone


def _metrics(listing: Listing, search: str | None) -> list[Metric]:
    found = [
        Metric(
            listing=listing,
            name=one["name"],
            label=one["label"],
            description=one["description"],
            type=MetricType(one["type"]),
        )
        for one in listing.metrics()
    ]
    return _found(found, search)


def _grouped(
    listing: Listing, metrics: list[Metric], groups: Sequence[GroupByInput]
) -> list[Metric]:
    wanted = {asked.group(one).base for one in groups}
    if not wanted:
        return metrics
    return [
        one
        for one in metrics
        if wanted <= {group["name"] for group in listing.group_bys([one.name])}
    ]


def _found(items: list[_Item], search: str | None) -> list[_Item]:
    words = (search or "").strip().lower()
    if not words:
        return items
    named = ("name", "label", "description")
    return [
        one
        for one in items
        if any(words in str(getattr(one, name, None) or "").lower() for name in named)
    ]


def _page(items: list[_Item], number: int, size: int | None) -> Page[_Item]:
    if number < 1 or (size is not None and size < 1):
        raise QueryError("pageNum and pageSize are whole numbers from 1 up.")
    each = size or max(1, len(items))
    return Page(
        items=items[(number - 1) * each : number * each],
        page_num=number,
        page_size=size,
        total_items=len(items),
        total_pages=-(-len(items) // each),
    )
