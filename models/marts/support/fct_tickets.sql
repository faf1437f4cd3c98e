with

tickets as (
    select * from {{ ref('int_tickets_checked') }}
    where rejection_reason is null
),

events as (
    select * from {{ ref('fct_ticket_events') }}
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
),

timed as (
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
        milestones.last_reopened_at,
        {{ cadran.hours_between('tickets.opened_at', 'milestones.first_reply_at') }}
            as first_response_hours,
        {{ cadran.hours_between('tickets.opened_at', 'milestones.first_resolved_at') }}
            as resolution_hours,
        {{ cadran.resolution_target_hours('tickets.priority') }} as target_hours
    from tickets
    left join milestones
        on tickets.ticket_id = milestones.ticket_id
)

select
    ticket_id,
    customer_id,
    team,
    priority,
    topic,
    opened_at,
    {{ cadran.business_date('opened_at') }} as opened_date,
    first_reply_at,
    first_resolved_at,
    {{ cadran.business_date('first_resolved_at') }} as resolved_date,
    last_resolved_at,
    first_reply_at is not null as is_replied,
    first_resolved_at is not null as is_resolved,
    -- A reopening at the very instant of a resolution comes after it.
    coalesce(last_reopened_at >= last_resolved_at, last_resolved_at is null) as is_open,
    coalesce(last_reopened_at >= first_resolved_at, false) as is_reopened,
    first_response_hours,
    resolution_hours,
    target_hours,
    resolution_hours <= target_hours as is_resolved_in_target
from timed
