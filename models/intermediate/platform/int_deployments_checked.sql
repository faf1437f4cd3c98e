{{ cadran.checked_rows(
    ref('stg_telemetry__deployments'),
    key=['deployment_id'],
    order_by=['deployed_at', 'service_id', 'is_failed', 'incident_id'],
    references=[
        ('service_id', (cadran.accepted_rows(ref('int_services_checked')), 'service_id')),
        ('incident_id', (cadran.accepted_rows(ref('int_incidents_checked')), 'incident_id')),
    ],
    rules=[
        (
            "marked.incident_id is not null and not marked.is_failed",
            "caused an incident and is not failed",
        ),
    ],
) }}
