"""Whether the KPI tree is true: each exact relation against the values of its KPI."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.errors import CadranError
from cadran.formats import periods

if TYPE_CHECKING:
    from cadran.core.layer import Layer
    from cadran.core.semantics.tree import Relation, Tree

PERIODS = 12
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Check:
    """What one relation gave: over how many periods, and the largest relative gap.

    `gap` is None where it could not be computed; `note` says why.
    """

    kpi: str
    kind: str
    expression: str
    grain: str
    periods: int
    gap: float | None
    note: str = ""

    @property
    def holds(self) -> bool:
        """True when every period agrees."""
        return self.gap is not None and self.gap <= TOLERANCE


def check(layer: Layer, tree: Tree) -> list[Check]:
    """Every relation that says how a value follows from its parts, over the last year.

    The parts are asked one by one from the layer and put into the expression, which the warehouse
    evaluates: an offset, a filter or a default that the expression hides shows as a gap.

    Raises:
        WarehouseError: the warehouse cannot be read.
    """
    until = layer.last_day()
    values = _Values(layer)
    values.fetch_all(tree, until)
    return [_checked(values, relation, until) for relation in tree.relations]


class _Values:
    """Values by period: of all metrics at one grain in one question where that is possible."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.fetched: dict[tuple[str, str], dict[dt.date, Any]] = {}

    def fetch_all(self, tree: Tree, until: dt.date) -> None:
        names = dict.fromkeys(
            name
            for relation in tree.relations
            if relation.expression is not None and _grain(self.layer, relation) == "month"
            for name in (relation.kpi, *(part.metric for part in relation.components))
        )
        latest = periods.last_complete(until, "month")
        first = periods.shifted(latest, "month", 1 - PERIODS - PERIODS)
        try:
            rows = self._fetch(list(names), "month", first, latest)
        except CadranError:
            return  # each is then asked by itself, so that one broken KPI hides no other
        for name in names:
            self.fetched[name, "month"] = {row[0]: row[1][name] for row in rows}

    def of(self, name: str, grain: str, starts: list[dt.date]) -> dict[dt.date, Any]:
        values = self.fetched.get((name, grain))
        if values is not None and any(start in values for start in starts):
            return values
        return {row[0]: row[1][name] for row in self._fetch([name], grain, starts[0], starts[-1])}

    def _fetch(
        self, names: list[str], grain: str, first: dt.date, latest: dt.date
    ) -> list[tuple[dt.date, dict[str, Any]]]:
        column = f"metric_time__{grain}"
        answer = self.layer.query(
            names, column, start=first, end=periods.last_of(latest, grain), governed=False
        )
        return [(row[column], row) for row in answer.to_arrow().to_pylist()]


def _grain(layer: Layer, relation: Relation) -> str:
    return "month" if "month" in layer.card(relation.kpi).grains else "day"


def _checked(values: _Values, relation: Relation, until: dt.date) -> Check:
    expression = relation.expression or ""
    grain = _grain(values.layer, relation)
    try:
        if relation.kind == "cumulative":
            grain = "day"
            gap, count = _cumulative(values, relation, until)
        elif relation.expression is None:
            return Check(
                relation.kpi, relation.kind, expression, grain, 0, None, "not a function of totals"
            )
        else:
            gap, count = _evaluated(values, relation, grain, until)
    except CadranError as problem:
        return Check(relation.kpi, relation.kind, expression, grain, 0, None, str(problem))
    return Check(relation.kpi, relation.kind, expression, grain, count, gap)


def _evaluated(
    values: _Values, relation: Relation, grain: str, until: dt.date
) -> tuple[float | None, int]:
    latest = periods.last_complete(until, grain)
    starts = [periods.shifted(latest, grain, back) for back in range(1 - PERIODS, 1)]
    own = values.of(relation.kpi, grain, starts)
    parts = {}
    for part in relation.components:
        moved = {start: _moved(start, part.offset) for start in starts}
        series = values.of(part.metric, grain, sorted(moved.values()))
        parts[part.alias] = {start: series.get(moved[start]) for start in starts}
    rows = ", ".join(
        "(" + ", ".join([str(index), *(_literal(parts[a][start]) for a in parts)]) + ")"
        for index, start in enumerate(starts)
    )
    names = ", ".join(["place", *(f'"{alias}"' for alias in parts)])
    answer = values.layer.warehouse.arrow(
        f"select ({relation.expression}) as value from (values {rows}) as part({names})"
        " order by place"
    )
    computed = answer.column(0).to_pylist()
    return _gap([own.get(start) for start in starts], computed), len(starts)


def _cumulative(values: _Values, relation: Relation, until: dt.date) -> tuple[float | None, int]:
    count, grain = relation.window or (0, "")
    days = [until - dt.timedelta(days=back) for back in (0, 10, 45)]
    own, computed = [], []
    for day in days:
        if count:
            start = periods.shifted(day, grain, -count) + dt.timedelta(days=1)
        elif grain:
            start = periods.start_of(day, grain)
        else:
            return None, 0
        own.append(values.of(relation.kpi, "day", [day]).get(day))
        part = relation.components[0].metric
        answer = values.layer.query([part], start=start, end=day, governed=False).to_arrow()
        computed.append(answer.column(part)[0].as_py())
    return _gap(own, computed), len(days)


def _moved(start: dt.date, offset: tuple[int, str] | None) -> dt.date:
    return start if offset is None else periods.shifted(start, offset[1], -offset[0])


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"cast('{value!r}' as double)"
    return f"cast({value} as hugeint)" if isinstance(value, int) else str(value)


def _gap(own: list[Any], computed: list[Any]) -> float | None:
    """The largest relative difference; nothing against something is no agreement at all."""
    largest, is_compared = 0.0, False
    for left, right in zip(own, computed, strict=True):
        if left is None and right is None:
            continue
        if left is None or right is None:
            # A count of nothing is written 0 by one and left out by the other.
            if float(left or right or 0) == 0:
                continue
            return math.inf
        is_compared = True
        scale = max(abs(float(left)), abs(float(right)), 1e-12)
        largest = max(largest, abs(float(left) - float(right)) / scale)
    return largest if is_compared else None
