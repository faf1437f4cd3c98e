"""A created query as its owner sees it."""

from __future__ import annotations

import strawberry

from cadran.server.graphql import pages
from cadran.server.graphql.jobs import Job  # noqa: TC001 - strawberry reads annotations as it runs
from cadran.server.graphql.types import PandasJsonOrient, QueryStatus


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
    def error(self) -> str | None:
        """What was wrong."""
        return self.job.outcome.error if self.job.outcome else None

    @strawberry.field
    def total_pages(self) -> int | None:
        """How many pages the answer has."""
        table = self.job.table
        return None if table is None else pages.count(table)

    @strawberry.field
    def arrow_result(self) -> str | None:
        """The page as a stream of Arrow IPC, in base64."""
        table = self.job.table
        return None if table is None else pages.arrow(pages.page(table, self.page))

    @strawberry.field
    def json_result(
        self,
        orient: PandasJsonOrient = PandasJsonOrient.TABLE,
        encoded: bool = True,  # noqa: FBT001, FBT002
    ) -> str | None:
        """The page as JSON as pandas writes it, in base64 unless asked otherwise."""
        table = self.job.table
        if table is None:
            return None
        return pages.as_json(pages.page(table, self.page), orient.value, encoded=encoded)
