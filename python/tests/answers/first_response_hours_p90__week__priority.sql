-- group_by: metric_time__week ticket__priority
with
tickets as (
    select distinct on (ticket_id) * from helpdesk.tickets where opened_at is not null
),
firsts as (
    select
        tickets.ticket_id,
        tickets.team,
        tickets.priority,
        tickets.opened_at,
        min(events.occurred_at) as first_at
    from tickets
    inner join helpdesk.ticket_events as events on tickets.ticket_id = events.ticket_id
    where events.event_type = 'replied' and events.occurred_at >= tickets.opened_at
    group by all
),
ranked as (
    select
        date_trunc('week', timezone('Europe/Paris', timezone('UTC', opened_at)))::date as week,
        priority,
        (epoch(first_at)::bigint - epoch(opened_at)::bigint) / 3600 as hours,
        row_number() over (partition by week, priority order by hours) - 1 as place,
        0.9 * (count(*) over (partition by week, priority) - 1) as wanted
    from firsts
)
-- The value at the wanted place, between its two neighbours in proportion.
select
    week,
    priority,
    sum(hours * greatest(0, 1 - abs(place - wanted)))
from ranked
group by all
