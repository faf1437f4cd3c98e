"""From the inputs of the API to a question for the desk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadran.errors import CadranError, QueryError
from cadran.query import GroupBy
from cadran.serving.question import Question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cadran.layer import Layer
    from cadran.server.graphql.types import GroupByInput, MetricInput, OrderByInput, WhereInput


@dataclass(frozen=True, slots=True)
class Inputs:
    """The arguments of `createQuery` and `compileSql`, as they came in."""

    metrics: Sequence[MetricInput] | None = None
    group_by: Sequence[GroupByInput] | None = None
    where: Sequence[WhereInput] | None = None
    order_by: Sequence[OrderByInput] | None = None
    limit: int | None = None
    saved_query: str | None = None

    def question(self, layer: Layer) -> Question:
        """The question that is meant.

        Args:
            layer: knows what a saved query is grouped by, to tell what it is ordered by.

        Raises:
            QueryError: the inputs make no sense together.
        """
        groups = [group(one) for one in self.group_by or ()]
        return Question.of({
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
