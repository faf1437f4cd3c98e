-- group_by: metric_time__day
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
    where events.event_type = 'resolved' and events.occurred_at >= tickets.opened_at
    group by all
),
grouped as (
    select
        timezone('Europe/Paris', timezone('UTC', first_at))::date as day,
        list_sort(list((epoch(first_at)::bigint - epoch(opened_at)::bigint) / 3600)) as hours
    from firsts
    group by all
)
select
    day,
    (hours[(len(hours) + 1) // 2] + hours[len(hours) // 2 + 1]) / 2
from grouped
