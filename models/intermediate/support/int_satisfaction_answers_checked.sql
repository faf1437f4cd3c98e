{{ cadran.checked_rows(
    ref('stg_helpdesk__satisfaction_answers'),
    key=['answer_id'],
    order_by=['answered_at', 'customer_id', 'ticket_id', 'score'],
    references=[('ticket_id', (ref('int_tickets_timed'), 'ticket_id'))],
) }}
