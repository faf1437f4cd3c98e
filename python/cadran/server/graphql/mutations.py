"""What can be begun: questions to answer, SQL to compile, and stopping."""

# The arguments are those of the API: `environmentId` everywhere, and eight of a question.
# ruff: noqa: ARG002, FBT001, PLR0913, PLR0917

from __future__ import annotations

from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

from cadran.errors import QueryError
from cadran.server.graphql import asked
from cadran.server.graphql.asking import Asking
from cadran.server.graphql.types import (
    BigInt,
    CompileSqlResult,
    GroupByInput,
    MetricInput,
    OrderByInput,
    QueryHandle,
    WhereInput,
)
from cadran.serving.question import Question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cadran.query import GroupBy

_Asked = Info[Asking, None]


@strawberry.type
class Mutation:
    """What can be begun."""

    @strawberry.mutation
    def create_query(
        self,
        info: _Asked,
        environment_id: BigInt,
        metrics: list[MetricInput] | None = None,
        group_by: list[GroupByInput] | None = None,
        where: list[WhereInput] | None = None,
        order_by: list[OrderByInput] | None = None,
        limit: int | None = None,
        saved_query: str | None = None,
        read_cache: bool | None = None,
    ) -> QueryHandle:
        """Begin to answer a question; ask `query` for what came of it."""
        inputs = asked.Inputs(metrics, group_by, where, order_by, limit, saved_query)
        job = info.context.create(inputs, read_cache=read_cache is not False)
        return QueryHandle(query_id=job.id)

    @strawberry.mutation
    def create_dimension_values_query(
        self,
        info: _Asked,
        environment_id: BigInt,
        group_by: list[GroupByInput],
        metrics: list[MetricInput] | None = None,
    ) -> QueryHandle:
        """Begin to list the values of a dimension."""
        job = info.context.create_values(asked.names(metrics), _one(group_by))
        return QueryHandle(query_id=job.id)

    @strawberry.mutation
    def compile_sql(
        self,
        info: _Asked,
        environment_id: BigInt,
        metrics: list[MetricInput] | None = None,
        group_by: list[GroupByInput] | None = None,
        where: list[WhereInput] | None = None,
        order_by: list[OrderByInput] | None = None,
        limit: int | None = None,
        saved_query: str | None = None,
        read_cache: bool | None = None,
    ) -> CompileSqlResult:
        """The SQL of a question; nothing is run."""
        inputs = asked.Inputs(metrics, group_by, where, order_by, limit, saved_query)
        question = inputs.question(info.context.state.layer)
        return CompileSqlResult(sql=info.context.sql(question))

    @strawberry.mutation
    def compile_dimension_values_sql(
        self,
        info: _Asked,
        environment_id: BigInt,
        group_by: list[GroupByInput],
        metrics: list[MetricInput] | None = None,
    ) -> CompileSqlResult:
        """The SQL that lists the values of a dimension; nothing is run."""
        given = {"group_by": [_one(group_by)], "metrics": asked.names(metrics)}
        return CompileSqlResult(sql=info.context.sql(Question.of(given)))

    @strawberry.mutation
    def cancel_query(self, info: _Asked, environment_id: BigInt, query_id: str) -> QueryHandle:
        """Stop a query that the caller created."""
        return QueryHandle(query_id=info.context.cancel(query_id).id)


def _one(groups: Sequence[GroupByInput]) -> GroupBy:
    if len(groups) != 1:
        raise QueryError("groupBy takes the one dimension whose values are wanted.")
    return asked.group(groups[0])
