"""Where an analysis has its numbers from: the layer itself, or a server's door to it.

An analysis takes a `Source` and never a warehouse, so that the rights of whoever asks hold for
every figure in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.core.components import Sides
from cadran.core.query.request import ask
from cadran.errors import QueryError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    import pyarrow as pa

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.core.query.request import Query
    from cadran.core.result import Rows


@dataclass(frozen=True, slots=True)
class Source:
    """Definitions, and the door through which their numbers come.

    Attributes:
        layer: the definitions: cards, dimensions, the tree. It is asked for no number.
        answer: answers a question as whoever asks may see it.
        kpis: the cards that whoever asks may see.
        sides: answers a question about one KPI that divides, with what it divides beside it as
            `numerator` (none of a conversion rate) and `denominator`. The sides are for weights:
            who may see a rate need not see the amounts behind it, so they are never handed on.
        finer: answers a building block by a time that no card has, where a question about the KPI
            made of it may be asked. Its rows are for sums, and are never handed on either.
    """

    layer: Layer
    answer: Callable[[Query], Rows]
    kpis: tuple[Card, ...]
    sides: Callable[[Query], pa.Table] | None = None
    finer: Callable[[Query, str, str], pa.Table] | None = None

    @classmethod
    def of(cls, layer: Layer) -> Source:
        """The layer for its own user, who sees everything."""
        sides: list[Sides] = []  # made when the first is asked: the definitions are read again

        def with_sides(query: Query) -> pa.Table:
            if not sides:
                sides.append(Sides.of(layer))
            return sides[0].table(query.metrics[0], sides[0].answer(query).to_arrow())

        def finer(_: Query, metric: str, time: str) -> pa.Table:
            return layer.answer(ask(metric, [time], governed=False, ordered=False)).to_arrow()

        return cls(layer, layer.answer, tuple(layer.kpis()), with_sides, finer)

    def ask(self, *args: Any, **kwargs: Any) -> Rows:
        """The answer to a question in the arguments of `Layer.query`.

        Raises:
            CadranError: as `Layer.query`.
        """
        return self.answer(ask(*args, **kwargs))

    def rows(self, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """The rows of an answer as plain values."""
        rows: list[dict[str, Any]] = self.ask(*args, **kwargs).table.to_pylist()
        return rows

    def with_sides(self, kpi: str, *args: Any, **kwargs: Any) -> pa.Table:
        """The answer about a KPI that divides, with its two sides.

        Raises:
            QueryError: the KPI does not divide, or nothing here answers its sides.
            CadranError: as `Layer.query`.
        """
        if self.sides is None:
            raise QueryError(f"What {kpi} divides is not answered here.")
        return self.sides(ask([kpi], *args, **kwargs))

    def rows_with_sides(self, kpi: str, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """The rows of `with_sides` as plain values."""
        rows: list[dict[str, Any]] = self.with_sides(kpi, *args, **kwargs).to_pylist()
        return rows

    def by_time(self, kpi: str, metric: str, time: str) -> pa.Table:
        """The rows of a building block of a KPI by a time that its card does not have.

        Args:
            kpi: by whose rights it is asked.
            metric: what the KPI is made of.
            time: with its grain, such as `session__started_at__minute`.

        Raises:
            QueryError: the KPI is not made of it, or nothing here answers what it is made of.
            CadranError: as `Layer.query`.
        """
        query = ask([kpi], ["metric_time__day"])
        name = self.layer.metric(kpi)["name"]
        if self.finer is None or metric not in self.layer.metric_graph.closure(name):
            raise QueryError(f"{metric} is nothing of {kpi} that is answered here.")
        return self.finer(query, metric, time)

    def sees(self, kpi: str) -> bool:
        """Whether whoever asks may see a KPI."""
        return any(card.name == kpi for card in self.kpis)

    def complete_through(self, kpi: str) -> dt.date | None:
        """The last day that is whole in every source of a KPI; None where they are empty."""
        return self.layer.complete_through(kpi)
