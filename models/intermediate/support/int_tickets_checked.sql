{{ cadran.checked_rows(
    ref('stg_helpdesk__tickets'),
    key=['ticket_id'],
    order_by=['opened_at', 'customer_id', 'team', 'priority', 'topic'],
) }}
