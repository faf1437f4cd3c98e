"""A KPI in full: its card with its versions, breaks and targets, and where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.core.ledger.reader import Reader, has_ledger
from cadran.core.project import lineage
from cadran.core.query.request import GroupBy, Query
from cadran.core.targets import targets
from cadran.core.versions.record import records
from cadran.errors import CadranError, NotAllowedError, ProjectError, UnknownNameError
from cadran.formats.periods import read as read_period
from cadran.governance.bridge import bridge, revisions
from cadran.serving.response import broken

if TYPE_CHECKING:
    from cadran.access.caller import Caller
    from cadran.access.gate import Allowed
    from cadran.core.layer import Layer
    from cadran.serving.service import QueryService, RequestContext
    from cadran.serving.snapshots import Snapshot


_RECORD_KEYS = ("version", "effective_from", "kind", "reason", "restatement", "author", "approver")


def about(service: QueryService, caller: Caller, kpi: str, lang: str = "en") -> dict[str, Any]:
    """The card with versions, breaks and targets, as JSON types.

    Raises:
        UnknownNameError: there is no such KPI, or not for this caller.
    """
    card = service.card(caller, kpi)
    with service.snapshots.use() as state:
        layer = state.layer
        return {
            "kpi": card.to_dict(lang),
            "versions": versions(layer, kpi, card.version),
            "breaks": breaks(layer, kpi, card.grains),
            # They are those of the whole company: no measure for who sees a part of its rows.
            "targets": _targets(layer, kpi) if service.sees_all_rows(caller, kpi) else [],
            "state": state.id,
        }


def versions(layer: Layer, kpi: str, present: int) -> list[dict[str, Any]]:
    """What the records say of each version of a KPI, and whether its approval is proved.

    Of the present one alone where there are no records.
    """
    root = layer.project.root
    entries = []
    for record in records(root, kpi) if root is not None else ():
        entry = {key: getattr(record, key) for key in _RECORD_KEYS}
        entry["effective_from"] = record.effective_from.isoformat()
        approval = layer.evidence.of(record)
        entries.append(entry | {"approval": approval.state, "evidence": approval.evidence})
    unknown = dict.fromkeys((*_RECORD_KEYS, "approval", "evidence"))
    return entries or [{**unknown, "version": present}]


def breaks(layer: Layer, kpi: str, grains: tuple[str, ...]) -> list[dict[str, Any]]:
    """Where the published values of a KPI changed their meaning, at the coarsest grain told."""
    if not has_ledger(layer.warehouse):
        return []
    for grain in ("month", *reversed(grains)):
        if grain not in grains:
            continue
        query = Query(metrics=(kpi,), group_by=(GroupBy("metric_time", grain),))
        version_breaks = Reader(layer.warehouse, query, None, None).breaks(in_series=False)
        if version_breaks:
            return [broken(version_break) for version_break in version_breaks]
    return []


def origin(layer: Layer, kpi: str) -> dict[str, Any]:
    """What a KPI is made from: models and sources by their names."""
    try:
        root = lineage.of_metric(layer.project.dbt_manifest, kpi)
    except CadranError:
        return {"models": [], "sources": []}
    models: dict[str, None] = {}

    def walk(node: lineage.Node) -> None:
        if node.kind == "model":
            models[node.name] = None
        for parent in node.parents:
            walk(parent)

    walk(root)
    return {"models": list(models), "sources": root.sources()}


def _targets(layer: Layer, kpi: str) -> list[dict[str, Any]]:
    try:
        all_targets = targets(layer)
    except ProjectError:
        return []
    return [
        {
            "grain": target.grain, "period": target.start.isoformat(), "target": target.target,
            "warning": target.warning, "critical": target.critical,
        }
        for target in all_targets
        if target.kpi == kpi
    ]  # fmt: skip


def explained(  # noqa: PLR0913 - the question of `cadran explain`
    service: QueryService, context: RequestContext, kpi: str, period: str, *,
    known_at: str | None = None, by: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The steps from the value that was published of a period to the value now.

    Raises:
        NotAllowedError: the caller's role sees a part of the KPI only; the ledger holds the whole.
        CadranError: as `bridge`.
    """
    card = service.card(context.caller, kpi)
    grain, start, end = read_period(period)
    if by is not None and by not in card.dimensions:
        raise UnknownNameError("dimension", by, card.dimensions, where=f" on the card of {kpi}")
    by = by or next(iter(card.dimensions), None)
    groups = [f"metric_time__{grain}", *([by] if by else [])]
    query = Query.of(
        {"metrics": [kpi], "group_by": groups, "start": start.isoformat(), "end": end.isoformat()}
    )

    def work(state: Snapshot, allowed: Allowed) -> dict[str, Any]:
        if allowed.query.confined or allowed.query.where or allowed.hides:
            raise NotAllowedError(
                f"What was published of {kpi} is of the whole company, and your role sees a part:"
                f" ask {card.owner.business}."
            )
        if by is None and state.layer.card(kpi).dimensions:
            raise NotAllowedError(f"Your role sees no dimension that would split {kpi}.")
        state.layer.sql([kpi], groups)  # what the card forbids is refused here, in its words
        with service.interrupting(context.stop, state.layer.warehouse.stopper()):
            steps = bridge(state.layer, kpi, period, known_at=known_at, by=by)
            published = revisions(state.layer, kpi, period)
        return {**steps.to_dict(), "unit": card.unit, "published": published}

    return service.recorded(context, "explain", query, work)


def defined(
    service: QueryService, context: RequestContext, kpi: str, lang: str = "en"
) -> dict[str, Any]:
    """How a KPI is computed: definition, formula, SQL by its usual grain, models and sources.

    Raises:
        UnknownNameError: there is no such KPI, or not for this caller.
    """
    card = service.card(context.caller, kpi).localized(lang)
    grain = "month" if "month" in card.grains else card.grains[-1]
    query = Query.of({"metrics": [kpi], "group_by": [f"metric_time__{grain}"]})
    sql = service.sql(context, query)
    with service.snapshots.use() as state:
        return {
            "kpi": kpi, "definition": card.description, "formula": card.formula,
            "unit": card.unit, "version": card.version, "not_for": list(card.not_for),
            "sql": sql, **origin(state.layer, kpi),
        }  # fmt: skip
