"""What the resolvers of one request share: who asks, and what can be done for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from cadran.core.query.request import GroupBy, Query
from cadran.errors import CadranError, QueryError
from cadran.server.graphql.jobs import Jobs, Outcome
from cadran.server.graphql.metadata import Metadata
from cadran.serving.response import annotated, instant
from cadran.serving.service import RequestContext

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cadran.access.caller import Caller
    from cadran.core.layer import Layer
    from cadran.server.graphql.jobs import Job
    from cadran.server.graphql.types import GroupByInput, MetricInput, OrderByInput, WhereInput
    from cadran.serving.execution import Cancellation
    from cadran.serving.response import Answer
    from cadran.serving.service import QueryService
    from cadran.serving.snapshots import Snapshot


PROTOCOL = "graphql"
_SMALL = 4_000  # characters of filters, and names, that are judged without a worker thread
_FEW = 50


@dataclass
class ResolverContext:
    """One request.

    Attributes:
        service: answers questions.
        jobs: keeps created queries.
        caller: who asks.
        state: what is asked; it stays as long as the request.
        unfinished: queries that were created or asked for, and have not ended.
    """

    service: QueryService
    jobs: Jobs
    caller: Caller
    state: Snapshot
    unfinished: list[Job] = field(default_factory=list)

    @cached_property
    def metadata(self) -> Metadata:
        """What the caller may know of."""
        return Metadata(self.service, self.caller, self.state)

    def create(self, query_of_input: Callable[[], Query], *, read_cache: bool) -> Job:
        """Begin to answer a question; what is wrong with it is the outcome.

        Raises:
            LimitError: too many queries of the caller are running.
        """
        try:
            query = query_of_input()
            context = RequestContext(self.caller, PROTOCOL, read_cache=read_cache)
            cached = self.service.cached(context, query) if _is_small(query) else None
        except CadranError as problem:
            return self.jobs.ready(self.caller, Outcome(error=str(problem)))
        if cached is not None:
            return self.jobs.ready(self.caller, _outcome(cached))

        def work(stop: Cancellation) -> Outcome:
            context.stop = stop
            return _outcome(self.service.ask(context, query))

        return self._watched(self.jobs.start(self.caller, work))

    def create_values(self, metrics: tuple[str, ...], group: GroupBy) -> Job:
        """Begin to list the values of a dimension.

        Raises:
            LimitError: as `create`.
        """

        def work(stop: Cancellation) -> Outcome:
            context = RequestContext(self.caller, PROTOCOL, stop=stop)
            values = self.service.values(context, group.column, metrics)
            return Outcome(pa.table({group.column: pa.array(values)}))

        return self._watched(self.jobs.start(self.caller, work))

    def sql(self, query: Query) -> str:
        """The SQL of a question.

        Raises:
            CadranError: as `QueryService.sql`.
        """
        return self.service.sql(RequestContext(self.caller, PROTOCOL), query)

    def job(self, number: str) -> Job:
        """A query that the caller created.

        Raises:
            QueryError: there is none, or no more.
        """
        return self._watched(self.jobs.get(self.caller, number))

    def cancel(self, number: str) -> Job:
        """Stop a query that the caller created.

        Raises:
            QueryError: there is none, or no more.
        """
        return self.jobs.cancel(self.caller, number)

    def _watched(self, job: Job) -> Job:
        if job.outcome is None:
            self.unfinished.append(job)
        return job


def _outcome(answer: Answer) -> Outcome:
    return Outcome(
        annotated(answer, answer.table), answer.sql, note=answer.note,
        complete_through=answer.complete_through,
        watermark=instant(answer.watermark) if answer.watermark else None,
    )  # fmt: skip


def _is_small(query: Query) -> bool:
    names = len(query.metrics) + len(query.group_by) + len(query.order_by)
    return names <= _FEW and sum(map(len, query.where)) <= _SMALL


def query_of(  # noqa: PLR0913, PLR0917 - the arguments are those of the API
    layer: Layer,
    metrics: Sequence[MetricInput] | None,
    group_by: Sequence[GroupByInput] | None,
    where: Sequence[WhereInput] | None,
    order_by: Sequence[OrderByInput] | None,
    limit: int | None,
    saved_query: str | None,
    *,
    complete: bool,
) -> Query:
    """The question that `createQuery` and `compileSql` mean.

    The layer knows what a saved query is grouped by, to tell what it is ordered by.

    Raises:
        QueryError: the inputs make no sense together.
    """
    groups = [group(item) for item in group_by or ()]
    times = [*groups, *_saved(saved_query, layer)]
    return Query.of({
        "metrics": names(metrics), "group_by": groups, "where": [item.sql for item in where or ()],
        "order_by": [_order(item, times) for item in order_by or ()],
        "limit": limit, "saved_query": saved_query, "complete": complete,
    })  # fmt: skip


def names(metrics: Sequence[MetricInput] | None) -> tuple[str, ...]:
    """The names of metrics, each once where it is listed twice.

    Raises:
        QueryError: one is to have another name in the answer.
    """
    for metric in metrics or ():
        if metric.alias and metric.alias != metric.name:
            raise QueryError(
                f"'{metric.name}' is to be called '{metric.alias}': a metric has one name"
                " everywhere. Ask without an alias."
            )
    return tuple(dict.fromkeys(metric.name.strip() for metric in metrics or ()))


def group(item: GroupByInput) -> GroupBy:
    """What is grouped by."""
    grain = item.grain.value if item.grain else item.time_granularity
    part = item.date_part.value if item.date_part else None
    return GroupBy(item.name.strip(), grain.lower() if grain else None, part and part.lower())


def _order(order: OrderByInput, groups: list[GroupBy]) -> str:
    sign = "-" if order.descending else ""
    if bool(order.metric) == bool(order.group_by):
        raise QueryError("orderBy takes a metric or a groupBy, one of the two.")
    if order.metric:
        return sign + order.metric.name.strip()
    assert order.group_by is not None  # noqa: S101 - one of the two, as said above
    by = group(order.group_by)
    if by.asked_grain or by.date_part or by.name in {g.name for g in groups}:
        return sign + by.column
    # A time without its grain means the one that it is grouped by.
    column = next((g.column for g in groups if g.base == by.base), by.name)
    return sign + column


def _saved(name: str | None, layer: Layer) -> tuple[GroupBy, ...]:
    if name is None:
        return ()
    try:
        return layer.saved_query(name).group_by
    except CadranError:
        return ()  # whoever answers the question says what is wrong
