with

tickets as (
    select
        ticket_id,
        team,
        priority,
        opened_at,
        {{ cadran.business_date('opened_at') }} as opened_date
    from {{ ref('int_tickets_timed') }}
),

events as (
    select * from {{ ref('int_ticket_events_dated') }}
),

moves as (
    select
        ticket_id,
        team,
        priority,
        opened_at as moved_at,
        opened_date as moved_date,
        0 as step,
        1 as is_open
    from tickets

    union all

    select
        tickets.ticket_id,
        tickets.team,
        tickets.priority,
        events.occurred_at as moved_at,
        events.occurred_date as moved_date,
        case when events.event_type = 'resolved' then 1 else 2 end as step,
        case when events.event_type = 'resolved' then 0 else 1 end as is_open
    from events
    inner join tickets
        on events.ticket_id = tickets.ticket_id
    where events.event_type in ('resolved', 'reopened')
),

-- At one instant a resolution comes after the opening and a reopening after the resolution.
ranked as (
    select
        *,
        row_number() over (
            partition by ticket_id, moved_date order by moved_at desc, step desc
        ) as place_from_day_end
    from moves
),

changes as (
    select
        team,
        priority,
        moved_date,
        is_open - coalesce(
            lag(is_open) over (partition by ticket_id order by moved_date), 0
        ) as change
    from ranked
    where place_from_day_end = 1
)

select
    moved_date,
    team,
    priority,
    sum(change) as change
from changes
group by moved_date, team, priority
