{{ cadran.checked_rows(
    ref('stg_telemetry__services'),
    key=['service_id'],
    order_by=['service_name', 'team', 'tier'],
) }}
