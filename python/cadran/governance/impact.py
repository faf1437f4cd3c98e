"""Two versions of a KPI side by side: what changed in its values, or the proof that nothing did."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.core.compiler.optimizer import faster
from cadran.core.project import dbt
from cadran.core.query.request import DAY_OR_COARSER, GRAINS, ask
from cadran.core.semantics.governed import TIME
from cadran.core.versions.definition import DIALECT
from cadran.core.versions.expand import with_steps
from cadran.core.versions.record import POINTS
from cadran.core.warehouse import ledger_sql as sql
from cadran.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def side_by_side(  # noqa: PLR0913 - two versions, and how they are compared
    layer: Layer, before: Definition, after: Definition, months: int = 12, *,
    in_points: bool = False, beside: Sequence[str] = (),
) -> tuple[str, list[Pair]]:  # fmt: skip
    """Both versions by month, or by the coarsest grain below, over the last months there are.

    Args:
        layer: the project, with data.
        before: the old version.
        after: the new one.
        months: how many there are at most.
        in_points: the KPI is a rate, whose change is a difference.
        beside: what differs beside their SELECTs, as `prove_equal` takes it.

    Returns:
        The grain, and the periods from the first to the last.

    Raises:
        QueryError: the versions share no grain, or the tables are older than the project.
        WarehouseError: what one of them reads is gone.
    """
    old, new = before.by_label, after.by_label
    grains = [grain for grain in GRAINS if grain in old and grain in new]
    if not grains:
        raise QueryError(f"The two versions of {after.kpi} share no grain.")
    grain = "month" if "month" in grains else grains[-1]
    time = f"{TIME}__{grain}"
    present = _built if beside else _sql
    if beside:
        _built_as_written(layer, after)
    statement = sql.side_by_side(
        _sql(layer, before, old[grain], grain), present(layer, after, new[grain], grain),
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


def prove_equal(
    layer: Layer, before: Definition, after: Definition, beside: Sequence[str] = ()
) -> dict[str, Any]:
    """Run both versions over all history at the finest shared grain, whole and by each dimension.

    Args:
        layer: the project, with data.
        before: the old version.
        after: the new one.
        beside: what differs beside their SELECTs (`Change.beside_select`). What a hook does to rows
            shows in the tables alone: then these are asked for the new version.

    Returns:
        The evidence, to be kept in a record: grain, rows and differences, first and last period,
        and for each question what stands for all values of each side.

    Raises:
        QueryError: they share no question, the tables are older than the project, or the old
            version's rows were changed by what is no longer there.
        WarehouseError: what one of them reads is gone.
    """
    grain, labels = shared(before, after)
    gone = sorted({*beside} & {*(before.side_effects or {})})
    if gone:
        raise QueryError(
            f"Rows of {after.kpi} were changed by the {', the '.join(gone)} as it was, which is"
            " gone: nothing proves that they are equal. Name the kind of change that it is."
        )
    present = _built if beside else _sql
    if beside:
        _built_as_written(layer, after)
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
            _sql(layer, before, old[label], grain), present(layer, after, new[label], grain),
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


def _built_as_written(layer: Layer, definition: Definition) -> None:
    """See that the tables below a KPI were made by the last build, of the files as they are now.

    Raises:
        QueryError: they were not, or nothing tells.
    """
    root, path = layer.project.root, layer.project.semantic_manifest_path
    remedy = (
        f"run `dbt build` first, since what made {definition.kpi} otherwise shows in its tables"
    )
    try:
        run = json.loads(path.with_name("run_results.json").read_bytes())
        began = dt.datetime.fromisoformat(run["metadata"]["invocation_started_at"])
        results = {r["unique_id"].rpartition(".")[2]: r["status"] for r in run["results"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise QueryError(f"When the tables were built is not known: {remedy}.") from None
    changed = dbt.newer(root, int(began.timestamp() * 1e9)) if root else None
    if changed is not None:
        raise QueryError(f"{changed} is newer than the last build: {remedy}.")
    nodes = layer.project.dbt_manifest["nodes"].values()
    inlined = {n["name"] for n in nodes if n["config"].get("materialized") == "ephemeral"}
    lacking = [
        name
        for kind, name in definition.came_from
        if kind != "source" and name not in inlined and results.get(name) != "success"
    ]
    if lacking or run["args"].get("which") not in ("build", "run"):
        names = f" of {', '.join(lacking)}" if lacking else ""
        raise QueryError(f"The last run was no whole build{names}: {remedy}.")


def _built(layer: Layer, definition: Definition, question: CompiledQuery, grain: str) -> str:
    """A question as the tables answer it, with all that happened to them beside their SELECTs."""
    groups = [f"{TIME}__{grain}", *question.dimensions]
    return layer.plan(ask([definition.kpi], groups, governed=False, ordered=False))[0]


def _sql(layer: Layer, definition: Definition, question: CompiledQuery, grain: str) -> str:
    return faster(layer.versions.placed(with_steps(question.at(grain), definition.steps)), DIALECT)
