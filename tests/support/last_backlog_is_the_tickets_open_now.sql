-- The backlog of the last day is the tickets that are open now: what was opened, less what was
-- resolved, plus what was reopened, adds up by team and priority over the whole history.
with

backlog as (
    select
        daily.team,
        daily.priority,
        daily.open_ticket_count
    from {{ ref('fct_ticket_backlog_daily') }} as daily
    where
        daily.snapshot_date = (
            select max(every_day.snapshot_date)
            from {{ ref('fct_ticket_backlog_daily') }} as every_day
        )
),

tickets as (
    select
        team,
        priority,
        sum(case when is_open then 1 else 0 end) as open_ticket_count
    from {{ ref('fct_tickets') }}
    group by team, priority
)

select
    tickets.team,
    tickets.priority,
    tickets.open_ticket_count,
    backlog.open_ticket_count as backlog
from tickets
left join backlog
    on
        tickets.team = backlog.team
        and tickets.priority = backlog.priority
where coalesce(backlog.open_ticket_count, -1) <> tickets.open_ticket_count
