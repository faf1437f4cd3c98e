"""What the resolvers of one request share: who asks, and what can be done for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from cadran.core.query.request import GroupBy, Query
from cadran.errors import CadranError, QueryError
from cadran.server.graphql.jobs import Jobs, Outcome
from cadran.server.graphql.metadata import Listing
from cadran.serving.service import Asked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cadran.access.caller import Caller
    from cadran.core.layer import Layer
    from cadran.server.graphql.jobs import Job
    from cadran.server.graphql.types import GroupByInput, MetricInput, OrderByInput, WhereInput
    from cadran.serving.execution import Stop
    from cadran.serving.service import QueryService
    from cadran.serving.snapshots import State


PROTOCOL = "graphql"
_SMALL = 4_000  # characters of filters, and names, that are judged without a worker thread
_FEW = 50


@dataclass
class Asking:
    """One request.

    Attributes:
        desk: answers questions.
        jobs: keeps created queries.
        caller: who asks.
        state: what is asked; it stays as long as the request.
        unfinished: queries that were created or asked for, and have not ended.
    """

    desk: QueryService
    jobs: Jobs
    caller: Caller
    state: State
    unfinished: list[Job] = field(default_factory=list)

    @cached_property
    def listing(self) -> Listing:
        """What the caller may know of."""
        return Listing(self.desk, self.caller, self.state)

    def create(self, inputs: Inputs, *, read_cache: bool) -> Job:
        """Begin to answer a question; what is wrong with it is the outcome.

        Raises:
            LimitError: too many queries of the caller are running.
        """
        try:
            query = inputs.query(self.state.layer)
            asked = Asked(self.caller, PROTOCOL, read_cache=read_cache)
            kept = self.desk.kept(asked, query) if _is_small(query) else None
        except CadranError as problem:
            return self.jobs.ready(self.caller, Outcome(error=str(problem)))
        if kept is not None:
            answer = kept.answer
            return self.jobs.ready(self.caller, Outcome(answer.table, answer.sql))

        def work(stop: Stop) -> Outcome:
            asked.stop = stop
            answer = self.desk.ask(asked, query).answer
            return Outcome(answer.table, answer.sql)

        return self._watched(self.jobs.start(self.caller, work))

    def create_values(self, metrics: tuple[str, ...], group: GroupBy) -> Job:
        """Begin to list the values of a dimension.

        Raises:
            LimitError: as `create`.
        """

        def work(stop: Stop) -> Outcome:
            asked = Asked(self.caller, PROTOCOL, stop=stop)
            values = self.desk.values(asked, group.column, metrics)
            return Outcome(pa.table({group.column: pa.array(values)}))

        return self._watched(self.jobs.start(self.caller, work))

    def sql(self, query: Query) -> str:
        """The SQL of a question.

        Raises:
            CadranError: as `QueryService.sql`.
        """
        return self.desk.sql(Asked(self.caller, PROTOCOL), query)

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


def _is_small(query: Query) -> bool:
    names = len(query.metrics) + len(query.group_by) + len(query.order_by)
    return names <= _FEW and sum(map(len, query.where)) <= _SMALL


@dataclass(frozen=True, slots=True)
class Inputs:
    """The arguments of `createQuery` and `compileSql`, as they came in."""

    metrics: Sequence[MetricInput] | None = None
    group_by: Sequence[GroupByInput] | None = None
    where: Sequence[WhereInput] | None = None
    order_by: Sequence[OrderByInput] | None = None
    limit: int | None = None
    saved_query: str | None = None

    def query(self, layer: Layer) -> Query:
        """The question that is meant.

        Args:
            layer: knows what a saved query is grouped by, to tell what it is ordered by.

        Raises:
            QueryError: the inputs make no sense together.
        """
        groups = [group(one) for one in self.group_by or ()]
        return Query.of({
            "metrics": names(self.metrics),
            "group_by": groups,
            "where": [one.sql for one in self.where or ()],
            "order_by": [
                _order(one, [*groups, *_saved(self.saved_query, layer)])
                for one in self.order_by or ()
            ],
            "limit": self.limit,
            "saved_query": self.saved_query,
        })  # fmt: skip


def names(metrics: Sequence[MetricInput] | None) -> tuple[str, ...]:
    """The names of metrics, each once where it is listed twice.

    Raises:
        QueryError: one is to have another name in the answer.
    """
    for one in metrics or ():
        if one.alias and one.alias != one.name:
            raise QueryError(
                f"'{one.name}' is to be called '{one.alias}': a metric has one name everywhere."
                " Ask without an alias."
            )
    return tuple(dict.fromkeys(one.name.strip() for one in metrics or ()))


def group(given: GroupByInput) -> GroupBy:
    """What is grouped by."""
    grain = given.grain.value if given.grain else given.time_granularity
    part = given.date_part.value if given.date_part else None
    return GroupBy(given.name.strip(), grain.lower() if grain else None, part and part.lower())


def _order(given: OrderByInput, groups: list[GroupBy]) -> str:
    sign = "-" if given.descending else ""
    if bool(given.metric) == bool(given.group_by):
        raise QueryError("orderBy takes a metric or a groupBy, one of the two.")
    if given.metric:
        return sign + given.metric.name.strip()
    assert given.group_by is not None  # noqa: S101 - one of the two, as said above
    wanted = group(given.group_by)
    if wanted.asked_grain or wanted.date_part or wanted.name in {one.name for one in groups}:
        return sign + wanted.column
    # A time without its grain means the one that it is grouped by.
    found = next((one.column for one in groups if one.base == wanted.base), wanted.name)
    return sign + found


def _saved(name: str | None, layer: Layer) -> tuple[GroupBy, ...]:
    if name is None:
        return ()
    try:
        return layer.saved_query(name).group_by
    except CadranError:
        return ()  # whoever answers the question says what is wrong
