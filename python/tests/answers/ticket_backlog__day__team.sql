-- group_by: metric_time__day backlog_entry__team
-- Each open spell of a ticket is an interval; a ticket counts when the end of the last day with
-- data of the period falls within one.
with
tickets as (
    select distinct on (ticket_id) * from helpdesk.tickets where opened_at is not null
),
events as (
    select distinct on (events.event_id)
        events.ticket_id,
        events.event_type,
        events.occurred_at
    from helpdesk.ticket_events as events
    inner join tickets on events.ticket_id = tickets.ticket_id
    where events.occurred_at >= tickets.opened_at
),
starts as (
    select ticket_id, opened_at as starts_at, true as is_first from tickets
    union all
    select ticket_id, occurred_at, false from events where event_type = 'reopened'
),
spells as (
    select
        starts.ticket_id,
        starts.starts_at,
        (
            select min(events.occurred_at) from events
            where
                events.ticket_id = starts.ticket_id
                and events.event_type = 'resolved'
                and (
                    events.occurred_at > starts.starts_at
                    or (starts.is_first and events.occurred_at = starts.starts_at)
                )
        ) as ends_at
    from starts
),
known as (
    select timezone('Europe/Paris', timezone('UTC', occurred_at))::date as day from events
    union
    select timezone('Europe/Paris', timezone('UTC', opened_at))::date from tickets
),
days as (
    select unnest(generate_series(min(day), max(day), interval 1 day))::date as day from known
),
period_ends as (
    select
        date_trunc('day', day)::date as period,
        max(day) as last_day,
        timezone('UTC', timezone('Europe/Paris', (max(day) + 1)::timestamp)) as ends_at
    from days
    group by all
)
select
    period_ends.period,
    teams.team,
    count(distinct tickets.ticket_id)
from period_ends
cross join (select distinct team from tickets) as teams
left join spells
    on
        spells.starts_at < period_ends.ends_at
        and (spells.ends_at is null or spells.ends_at >= period_ends.ends_at)
left join tickets
    on spells.ticket_id = tickets.ticket_id and teams.team = tickets.team
group by all
