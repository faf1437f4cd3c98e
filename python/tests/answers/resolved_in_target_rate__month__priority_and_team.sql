-- group_by: metric_time__month ticket__priority ticket__team
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
targets (priority, hours) as (
    values ('urgent', 8), ('high', 24), ('normal', 72), ('low', 120)
)
select
    date_trunc('month', timezone('Europe/Paris', timezone('UTC', firsts.first_at)))::date as month,
    firsts.priority,
    firsts.team,
    avg(case
        when epoch(firsts.first_at)::bigint - epoch(firsts.opened_at)::bigint > targets.hours * 3600
            then 0.0
        else 1.0
    end)
from firsts
inner join targets on firsts.priority = targets.priority
group by all
