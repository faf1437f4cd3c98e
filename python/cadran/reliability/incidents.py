"""Incidents and what they took of error budgets, as the warehouse has them.

An incident was reported, by people or tools, or is derived: a stretch that burned like one and that
nobody reported. What fell into no incident is told as unattributed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.core.warehouse.dialects import literal
from cadran.errors import UnknownNameError
from cadran.reliability.status import read, relation

if TYPE_CHECKING:
    import datetime as dt

    from cadran.core.layer import Layer


def incidents(
    layer: Layer, *, service: str | None = None, since: dt.date | None = None
) -> list[dict[str, Any]]:
    """Every incident by its start, with the SLO whose month it hurt most.

    Args:
        layer: the layer of a built project.
        service: only those of a service.
        since: only those that began on this day (UTC) or later.

    Returns:
        Rows of incident_id, origin, service, severity, cause, started_at and restored_at (UTC),
        hours_to_detect, hours_to_acknowledge, hours_to_restore, and worst_slo with the share of
        its month's error budget that the incident took in worst_consumed_rate, net; None where it
        took none.

    Raises:
        QueryError: the project has no such models, or has not built them.
        UnknownNameError: there is no such service.
    """
    if service is not None:
        _known(layer, "service", service, f"service_id from {_marts(layer, 'dim_services')}")
    conditions = ["true"]
    if service is not None:
        conditions.append(f"service_id = {literal(service)}")
    if since is not None:
        conditions.append(f"started_at >= timestamp '{since}'")
    return read(
        layer,
        f"""
        with every as (
            select incident_id, 'reported' as origin, service_id, severity, cause, started_at,
                restored_at, hours_to_detect, hours_to_acknowledge, hours_to_restore
            from {_marts(layer, "fct_incidents")}
            union all
            select incidents.incident_id, incidents.origin, slos.subject, null, incidents.cause,
                incidents.starts_at, incidents.ends_at, null, null,
                incidents.hours_to_restore
            from {relation(layer, "slo_incidents")} as incidents
            inner join {relation(layer, "slo_definitions")} as slos
                on incidents.slo_id = slos.slo_id
            where incidents.origin = 'derived'
        ),
        months as (
            select *, row_number() over (
                partition by incident_id order by consumed_rate desc, slo_id, month_start
            ) as place
            from {relation(layer, "fct_slo_incident_budgets")}
            where bad_units > 0 and origin <> 'unattributed'
        )
        select every.incident_id, every.origin, every.service_id as service, every.severity,
            every.cause, every.started_at, every.restored_at, every.hours_to_detect,
            every.hours_to_acknowledge, every.hours_to_restore, months.slo_id as worst_slo,
            months.consumed_rate as worst_consumed_rate
        from every
        left join months on every.incident_id = months.incident_id and months.place = 1
        where {" and ".join(conditions)}
        order by every.started_at, every.incident_id""",
    )


def incident(layer: Layer, incident_id: str) -> dict[str, Any]:
    """One incident, as a row of `incidents`.

    Raises:
        QueryError: the project has no such models, or has not built them.
        UnknownNameError: there is no such incident.
    """
    rows = {row["incident_id"]: row for row in incidents(layer)}
    if incident_id not in rows:
        raise UnknownNameError("incident", incident_id, rows)
    return rows[incident_id]


def budgets(layer: Layer, incident_id: str) -> list[dict[str, Any]]:
    """What an incident took of each SLO, by local month; net of exclusions and gross.

    Returns:
        Rows of slo_id, month_start, bad_units, burning_minutes, consumed_rate (a share of the
        month's error budget), gross_bad_units, gross_burning_minutes, gross_consumed_rate.
    """
    return read(
        layer,
        "select slo_id, month_start, bad_units, burning_minutes, consumed_rate, gross_bad_units,"
        " gross_burning_minutes, gross_consumed_rate"
        f" from {relation(layer, 'fct_slo_incident_budgets')}"
        f" where incident_id = {literal(incident_id)} order by slo_id, month_start",
    )


def causes(layer: Layer, month: dt.date, slo: str | None = None) -> list[dict[str, Any]]:
    """What each cause took of each SLO in a local month, unattributed burn among them; net.

    Args:
        layer: the layer of a built project.
        month: its first day.
        slo: an SLO, or an SLO and its subject.

    Returns:
        Rows of slo_id, cause, incidents (how many), bad_units, burning_minutes and consumed_rate.

    Raises:
        QueryError: the project has no such models, or has not built them.
        UnknownNameError: there is no such SLO.
    """
    of_slo = ""
    if slo is not None:
        name = relation(layer, "slo_definitions")
        _known(layer, "SLO", slo, f"slo, slo_id from {name} where not is_composite")
        of_slo = f" and {literal(slo)} in (slo, slo_id)"
    return read(
        layer,
        "select slo_id, cause,"
        " count(distinct case when origin <> 'unattributed' then incident_id end) as incidents,"
        " sum(bad_units) as bad_units, sum(burning_minutes) as burning_minutes,"
        " sum(consumed_rate) as consumed_rate"
        f" from {relation(layer, 'fct_slo_incident_budgets')}"
        f" where month_start = date '{month}'{of_slo}"
        " group by slo_id, cause order by slo_id, consumed_rate desc, cause",
    )


def _marts(layer: Layer, model: str) -> str:
    return relation(layer, model, "marts")


def _known(layer: Layer, kind: str, name: str, source: str) -> None:
    rows = read(layer, f"select distinct {source}")
    names = {str(value) for row in rows for value in row.values()}
    if name not in names:
        raise UnknownNameError(kind, name, names)
