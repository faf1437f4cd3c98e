{{ cadran.checked_rows(
    ref('stg_telemetry__request_lines'),
    key=['request_id'],
    order_by=[
        'received_at', 'service_id', 'route', 'method', 'status', 'duration_ms', 'is_timeout',
    ],
    references=[('service_id', (cadran.accepted_rows(ref('int_services_checked')), 'service_id'))],
) }}
