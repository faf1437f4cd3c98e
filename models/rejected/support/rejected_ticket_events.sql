select * from {{ ref('int_ticket_events_checked') }}
where rejection_reason is not null
