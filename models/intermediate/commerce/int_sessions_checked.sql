{{ cadran.checked_rows(
    ref('stg_shop__sessions'),
    key=['session_id'],
    order_by=['started_at', 'channel', 'device', 'country', 'visitor_id', 'customer_id'],
) }}
