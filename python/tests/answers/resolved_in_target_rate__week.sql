-- group_by: metric_time__week
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
judged as (
    select
        date_trunc('week', timezone('Europe/Paris', timezone('UTC', first_at)))::date as week,
        epoch(first_at)::bigint - epoch(opened_at)::bigint <= 3600 * case priority
            when 'urgent' then 8
            when 'high' then 24
            when 'normal' then 72
            else 120
        end as in_target
    from firsts
)
select
    week,
    count(*) filter (in_target) / count(*)
from judged
group by all
