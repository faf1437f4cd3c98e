"""Two versions of a KPI side by side: what changed in its values, or the proof that nothing did."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.core.compiler.optimizer import faster
from cadran.core.query.request import DAY_OR_COARSER, GRAINS
from cadran.core.semantics.governed import TIME
from cadran.core.versions.definition import DIALECT
from cadran.core.versions.expand import with_steps
from cadran.core.versions.record import POINTS
from cadran.core.warehouse import ledger_sql as sql
from cadran.errors import QueryError

if TYPE_CHECKING:
    from cadran.core.layer import Layer
    from cadran.core.versions.definition import CompiledQuery, Definition


@dataclass(frozen=True, slots=True)
class Pair:
    """One period by both versions.

    The change is relative, None where it has no base; of a rate it is the difference, a fraction.
    """

    period: dt.date
    old: Any
    new: Any
    change: float | None


def side_by_side(
    layer: Layer, before: Definition, after: Definition, months: int = 12, *,
    in_points: bool = False,
) -> tuple[str, list[Pair]]:  # fmt: skip
    """Both versions by month, or by the coarsest grain below, over the last months there are.

    Args:
        layer: the project, with data.
        before: the old version.
        after: the new one.
        months: how many there are at most.
        in_points: the KPI is a rate, whose change is a difference.

    Returns:
        The grain, and the periods from the first to the last.

    Raises:
        QueryError: the versions share no grain.
        WarehouseError: what one of them reads is gone.
    """
    old, new = before.by_label, after.by_label
    grains = [grain for grain in GRAINS if grain in old and grain in new]
    if not grains:
        raise QueryError(f"The two versions of {after.kpi} share no grain.")
    grain = "month" if "month" in grains else grains[-1]
    time = f"{TIME}__{grain}"
    statement = sql.side_by_side(
        _sql(layer, before, old[grain], grain), _sql(layer, after, new[grain], grain),
        time=time, kpi=after.kpi, months=months, in_points=in_points,
    )  # fmt: skip
    dates = {"period"} if grain in DAY_OR_COARSER else set()
    rows = layer.warehouse.arrow(statement, dates).to_pylist()
    return grain, [Pair(row["period"], row["old"], row["new"], row["change"]) for row in rows]


def summary(grain: str, pairs: list[Pair], *, in_points: bool = False) -> dict[str, Any]:
    """The least and greatest change, to be kept in a record; of a rate with its unit, points."""
    changes = [pair.change for pair in pairs if pair.change is not None]
    return {
        "grain": grain,
        "periods": len(pairs),
        "least": round(min(changes), 6) if changes else None,
        "greatest": round(max(changes), 6) if changes else None,
    } | ({"unit": POINTS} if in_points else {})


def prove_equal(layer: Layer, before: Definition, after: Definition) -> dict[str, Any]:
    """Run both versions over all history at the finest shared grain, whole and by each dimension.

    Returns:
        The evidence, to be kept in a record: grain, rows and differences, first and last period,
        and for each question what stands for all values of each side.

    Raises:
        QueryError: they share no question.
        WarehouseError: what one of them reads is gone.
    """
    grain, labels = shared(before, after)
    if not (before.runs and after.runs):
        raise QueryError(
            f"A version of {after.kpi} is kept as text, so nothing proves that they are equal."
        )
    if grain is None:
        raise QueryError(f"The two versions of {after.kpi} share no grain.")
    old, new, compared = before.by_label, after.by_label, []
    for label in labels:
        keys = [f"{TIME}__{grain}", *label.split()[1:]]
        statement = sql.differences(
            _sql(layer, before, old[label], grain), _sql(layer, after, new[label], grain),
            keys=keys, kpi=after.kpi,
        )  # fmt: skip
        compared.append({"question": label, **layer.warehouse.arrow(statement).to_pylist()[0]})
    return {
        "grain": grain,
        "rows": sum(int(row["rows"]) for row in compared),
        "differences": sum(int(row["differences"]) for row in compared),
        "compared": compared,
        "compared_at": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def shared(before: Definition, after: Definition) -> tuple[str | None, list[str]]:
    """The finest grain that two definitions share, and their questions at it."""
    old, new = before.by_label, after.by_label
    grains = {label.split()[0] for label in new if label in old}
    finest = next((grain for grain in GRAINS if grain in grains), None)
    return finest, [label for label in new if label in old and label.split()[0] == finest]


def _sql(layer: Layer, definition: Definition, question: CompiledQuery, grain: str) -> str:
    return faster(layer.versions.placed(with_steps(question.at(grain), definition.steps)), DIALECT)
