{{ cadran.checked_rows(
    ref('stg_shop__orders'),
    key=['order_id'],
    order_by=['ordered_at', 'customer_id', 'amount', 'status', 'channel', 'country', 'session_id'],
    references=[('customer_id', (cadran.accepted_rows(ref('int_customers_checked')), 'customer_id'))],
) }}
