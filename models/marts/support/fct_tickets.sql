with

tickets as (
    select * from {{ ref('int_tickets_timed') }}
),

timed as (
    select
        *,
        {{ cadran.hours_between('opened_at', 'first_reply_at') }} as first_response_hours,
        {{ cadran.hours_between('opened_at', 'first_resolved_at') }} as resolution_hours,
        {{ cadran.resolution_target_hours('priority') }} as target_hours
    from tickets
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
