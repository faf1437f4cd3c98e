"""Notes for whoever asks over a network: read by who sees all of a KPI, written under a scope.

A note speaks of the whole company, so it is for those only who see all rows of its KPI. Reading and
writing are judged, counted and recorded as a question about the KPI is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cadran.core.query.request import Query
from cadran.errors import NotAllowedError, UnknownNameError
from cadran.governance import notes as governance
from cadran.serving.entitlements import entitled

if TYPE_CHECKING:
    from cadran.access.gate import Allowed
    from cadran.governance.notes import Note, Remark
    from cadran.serving.service import QueryService, RequestContext
    from cadran.serving.snapshots import Snapshot

SCOPE = "write"


def notes(
    service: QueryService, context: RequestContext, kpi: str, period: str | None = None
) -> tuple[Note, ...]:
    """The notes on a KPI.

    Args:
        service: what answers.
        context: who asks, and how.
        kpi: its name.
        period: only those of periods that lie in this one.

    Raises:
        UnknownNameError: there is no such KPI, or not for this caller.
        NotAllowedError: the caller sees a part of it only.
        LimitError: the caller has asked as much as it may.
    """

    def work(state: Snapshot, _: Allowed) -> tuple[Note, ...]:
        _refuse_part(service, context, kpi)
        return governance.notes(state.layer, kpi, period)

    return service.recorded(context, "notes", Query(metrics=(kpi,)), work)


def add(service: QueryService, context: RequestContext, remark: Remark) -> Note:
    """Say something about a KPI in the name of the caller.

    Raises:
        UnknownNameError: there is no such KPI or incident, or not for this caller.
        NotAllowedError: the caller sees a part of the KPI only, or its token is not for writing.
        LimitError: the caller has asked as much as it may.
        CadranError: as `governance.notes.add`.
    """

    def work(state: Snapshot, _: Allowed) -> Note:
        entitled(context.caller, SCOPE)
        _refuse_part(service, context, remark.kpi)
        incident = remark.incident.strip()
        if incident and not service.sees_whole(context.caller, "incident_count"):
            # Those there are are told to nobody else, nor whether this is one of them.
            hint = f"{context.caller.name} may see no incidents."
            raise UnknownNameError("incident", incident, (), hint=hint)
        return governance.add(state.layer, remark, by=context.caller.name)

    return service.recorded(context, "note", Query(metrics=(remark.kpi,)), work)


def _refuse_part(service: QueryService, context: RequestContext, kpi: str) -> None:
    if not service.sees_whole(context.caller, kpi):
        raise NotAllowedError(
            f"{context.caller.name} may see a part of {kpi} only, and notes speak of the whole."
        )
