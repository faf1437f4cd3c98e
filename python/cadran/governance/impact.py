"""Two versions of a KPI side by side: what changed in its values, or the proof that nothing did."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError
from cadran.governance.expand import whole
from cadran.governance.leaves import resolved
from cadran.governed import TIME
from cadran.query import DAY_OR_COARSER, GRAINS
from cadran.rewrite import faster

if TYPE_CHECKING:
    from cadran.governance.questions import Definition, Question
    from cadran.layer import Layer

_DIALECT = "duckdb"
# Sums of binary fractions depend on their order in the last digits; nothing else may differ.
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Pair:
    """One period by both versions; the change is relative, None where it has no base."""

    period: dt.date
    old: Any
    new: Any
    change: float | None


def side_by_side(
    layer: Layer, before: Definition, after: Definition, months: int = 12
) -> tuple[str, list[Pair]]:
    """Both versions by month, or by the coarsest grain below, over the last months there are.

    Returns:
        The grain, and the periods from the first to the last.

    Raises:
        QueryError: the versions share no grain.
        WarehouseError: what one of them reads is gone.
    """
    shared = _shared(before, after)
    grains = [g for g in GRAINS if g in shared]
    if not grains:
        raise QueryError(f"The two versions of {after.kpi} share no grain.")
    grain = "month" if "month" in grains else grains[-1]
    time, kpi = f"{TIME}__{grain}", after.kpi
    old, new = (_sql(layer, d, shared[grain][i], grain) for i, d in enumerate((before, after)))
    period = "cast(period as date)" if grain in DAY_OR_COARSER else "period"
    rows = layer.warehouse.arrow(f"""
        with old as ({old}),
        new as ({new}),
        paired as (
            select coalesce(old."{time}", new."{time}") as period,
                old."{kpi}" as old, new."{kpi}" as new
            from old full join new on old."{time}" = new."{time}"
        )
        select {period} as period, old, new,
            (cast(new as double) - cast(old as double)) / nullif(abs(cast(old as double)), 0)
                as change
        from paired
        where paired.period > (select max(period) from paired) - interval {int(months)} month
        order by period
    """).to_pylist()
    return grain, [Pair(r["period"], r["old"], r["new"], r["change"]) for r in rows]


def summary(grain: str, pairs: list[Pair]) -> dict[str, Any]:
    """The least and greatest relative change, to be kept in a record."""
    changes = [pair.change for pair in pairs if pair.change is not None]
    return {
        "grain": grain,
        "periods": len(pairs),
        "least": round(min(changes), 6) if changes else None,
        "greatest": round(max(changes), 6) if changes else None,
    }


def prove_equal(layer: Layer, before: Definition, after: Definition) -> dict[str, Any]:
    """Run both versions over all history at the finest shared grain, whole and by each dimension.

    Returns:
        What was compared, to be kept in a record: grain, questions, rows, differences.

    Raises:
        QueryError: they share no question.
        WarehouseError: what one of them reads is gone.
    """
    old, new = _by_label(before), _by_label(after)
    shared = [label for label in new if label in old]
    grains = [g for g in GRAINS if g in {label.split()[0] for label in shared}]
    if not grains:
        raise QueryError(f"The two versions of {after.kpi} share no grain.")
    compared = [label for label in shared if label.split()[0] == grains[0]]
    rows = differences = 0
    for label in compared:
        keys = [f"{TIME}__{grains[0]}", *label.split()[1:]]
        sides = (
            _sql(layer, before, old[label], grains[0]), _sql(layer, after, new[label], grains[0]),
        )  # fmt: skip
        found = layer.warehouse.arrow(_difference(sides, keys, after.kpi)).to_pylist()[0]
        rows, differences = rows + int(found["row_count"]), differences + int(found["differing"])
    return {
        "grain": grains[0], "questions": compared, "rows": rows, "differences": differences,
        "compared_at": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }  # fmt: skip


def _difference(sides: tuple[str, str], keys: list[str], kpi: str) -> str:
    joined = " and ".join(f'old."{key}" is not distinct from new."{key}"' for key in keys)
    value = f'"{kpi}"'
    return f"""
        with old as (select *, true as is_there from ({sides[0]})),
        new as (select *, true as is_there from ({sides[1]}))
        select count(*) as row_count, count(*) filter (
            where old.is_there is null or new.is_there is null or (
                old.{value} is distinct from new.{value}
                and coalesce(abs(cast(old.{value} as double) - cast(new.{value} as double))
                    > {_SAME} * greatest(abs(old.{value}), abs(new.{value})), true)
            )
        ) as differing
        from old full join new on {joined}
    """


def _sql(layer: Layer, definition: Definition, question: Question, grain: str) -> str:
    return faster(resolved(layer, whole(question.at(grain), definition.steps)), _DIALECT)


def _by_label(definition: Definition) -> dict[str, Question]:
    return {label: question for question in definition.questions for label in question.labels}


def _shared(before: Definition, after: Definition) -> dict[str, tuple[Question, Question]]:
    old, new = _by_label(before), _by_label(after)
    return {label: (old[label], new[label]) for label in new if label in old and " " not in label}
