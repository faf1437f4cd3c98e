-- group_by: metric_time__year
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
lives as (
    select
        firsts.ticket_id,
        date_trunc('year', timezone('Europe/Paris', timezone('UTC', firsts.first_at)))::date as year,
        bool_or(
            events.event_type = 'reopened' and events.occurred_at >= firsts.first_at
        ) as is_back
    from firsts
    inner join helpdesk.ticket_events as events on firsts.ticket_id = events.ticket_id
    group by all
)
select
    year,
    sum(is_back::integer) / count(*)
from lives
group by all
