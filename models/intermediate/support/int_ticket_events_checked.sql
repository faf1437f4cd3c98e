{#- The ticket comes along because an event is judged by it: a reply before the opening would
    give a negative time to reply. -#}
{%- set events_of_tickets -%}
(
    select
        events.*,
        tickets.opened_at as ticket_opened_at
    from {{ ref('stg_helpdesk__ticket_events') }} as events
    left join {{ ref('int_tickets_checked') }} as tickets
        on
            events.ticket_id = tickets.ticket_id
            and tickets.rejection_reason is null
) as events_of_tickets
{%- endset -%}

{{ cadran.checked_rows(
    events_of_tickets,
    key=['event_id'],
    order_by=['occurred_at', 'ticket_id', 'event_type'],
    rules=[
        ('marked.ticket_opened_at is null', 'ticket_id is unknown'),
        (
            'marked.occurred_at < marked.ticket_opened_at',
            'occurred_at is before the ticket was opened',
        ),
    ],
) }}
