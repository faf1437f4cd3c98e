with

tickets as (
    select * from {{ ref('int_tickets_checked') }}
    where rejection_reason is null
),

events as (
    select * from {{ ref('int_ticket_events_dated') }}
),

milestones as (
    select
        ticket_id,
        min(case when event_type = 'replied' then occurred_at end) as first_reply_at,
        min(case when event_type = 'resolved' then occurred_at end) as first_resolved_at,
        max(case when event_type = 'resolved' then occurred_at end) as last_resolved_at,
        max(case when event_type = 'reopened' then occurred_at end) as last_reopened_at
    from events
    group by ticket_id
)

select
    tickets.ticket_id,
    tickets.customer_id,
    tickets.team,
    tickets.priority,
    tickets.topic,
    tickets.opened_at,
    milestones.first_reply_at,
    milestones.first_resolved_at,
    milestones.last_resolved_at,
    milestones.last_reopened_at
from tickets
left join milestones
    on tickets.ticket_id = milestones.ticket_id
