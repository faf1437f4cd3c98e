{{ cadran.checked_rows(
    ref('stg_telemetry__probes'),
    key=['service_id', 'region', 'probed_at'],
    order_by=['is_up', 'response_ms'],
    references=[('service_id', (cadran.accepted_rows(ref('int_services_checked')), 'service_id'))],
) }}
