-- group_by: metric_time__month ticket__team
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
reopened as (
    select distinct firsts.ticket_id
    from firsts
    inner join helpdesk.ticket_events as events on firsts.ticket_id = events.ticket_id
    where events.event_type = 'reopened' and events.occurred_at >= firsts.first_at
)
select
    date_trunc('month', timezone('Europe/Paris', timezone('UTC', firsts.first_at)))::date as month,
    firsts.team,
    count(reopened.ticket_id) / count(*)
from firsts
left join reopened on firsts.ticket_id = reopened.ticket_id
group by all
