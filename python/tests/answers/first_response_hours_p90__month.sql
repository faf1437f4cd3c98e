-- group_by: metric_time__month
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
months as (
    select
        date_trunc('month', timezone('Europe/Paris', timezone('UTC', opened_at)))::date as month,
        list_sort(list((epoch(first_at)::bigint - epoch(opened_at)::bigint) / 3600)) as hours,
        0.9 * (len(hours) - 1) as wanted,
        floor(wanted)::integer as below
    from firsts
    group by 1
)
select
    month,
    hours[below + 1]
    + (wanted - below) * (coalesce(hours[below + 2], hours[below + 1]) - hours[below + 1])
from months
