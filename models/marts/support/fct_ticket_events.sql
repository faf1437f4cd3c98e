select * from {{ ref('int_ticket_events_dated') }}
