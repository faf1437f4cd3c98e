{{ cadran.checked_rows(
    ref('stg_telemetry__incidents'),
    key=['incident_id'],
    order_by=[
        'started_at', 'restored_at', 'detected_at', 'acknowledged_at', 'service_id', 'severity', 'cause',
    ],
    references=[('service_id', (cadran.accepted_rows(ref('int_services_checked')), 'service_id'))],
    rules=[
        ("marked.detected_at < marked.started_at", "detected before it started"),
        ("marked.acknowledged_at < marked.started_at", "acknowledged before it started"),
        ("marked.acknowledged_at < marked.detected_at", "acknowledged before it was detected"),
        ("marked.restored_at < marked.started_at", "restored before it started"),
    ],
) }}
