"""What the resolvers of one request share: who asks, and what can be done for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from cadran.errors import CadranError
from cadran.server.graphql.jobs import Jobs, Outcome
from cadran.server.graphql.listing import Listing
from cadran.serving.desk import Asked

if TYPE_CHECKING:
    from cadran.access.caller import Caller
    from cadran.query import GroupBy
    from cadran.server.graphql.asked import Inputs
    from cadran.server.graphql.jobs import Job
    from cadran.serving.desk import Desk
    from cadran.serving.question import Question
    from cadran.serving.states import State
    from cadran.serving.stop import Stop

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

    desk: Desk
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
            question = inputs.question(self.state.layer)
            asked = Asked(self.caller, PROTOCOL, read_cache=read_cache)
            kept = self.desk.kept(asked, question) if _is_small(question) else None
        except CadranError as problem:
            return self.jobs.ready(self.caller, Outcome(error=str(problem)))
        if kept is not None:
            answer = kept.answer
            return self.jobs.ready(self.caller, Outcome(answer.table, answer.sql))

        def work(stop: Stop) -> Outcome:
            asked.stop = stop
            answer = self.desk.ask(asked, question).answer
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

    def sql(self, question: Question) -> str:
        """The SQL of a question.

        Raises:
            CadranError: as `Desk.sql`.
        """
        return self.desk.sql(Asked(self.caller, PROTOCOL), question)

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


def _is_small(question: Question) -> bool:
    asked = question.query
    names = len(asked.metrics) + len(asked.group_by) + len(asked.order_by)
    return names <= _FEW and sum(map(len, asked.where)) <= _SMALL
