with

changes as (
    select * from {{ ref('int_ticket_backlog_changes') }}
),

events as (
    select * from {{ ref('fct_ticket_events') }}
),

dates as (
    select moved_date as event_date from changes
    union all
    select occurred_date as event_date from events
),

days as (
    {{ cadran.time_series(
        'day',
        '(select cast(min(event_date) as timestamp) from dates)',
        '(select cast(max(event_date) as timestamp) from dates)',
    ) }}
),

teams as (
    select distinct team from changes
),

priorities as (
    select distinct priority from changes
),

grid as (
    select
        cast(days.instant as date) as snapshot_date,
        teams.team,
        priorities.priority
    from days
    cross join teams
    cross join priorities
),

counted as (
    select
        grid.snapshot_date,
        grid.team,
        grid.priority,
        sum(coalesce(changes.change, 0)) over (
            partition by grid.team, grid.priority
            order by grid.snapshot_date
            rows between unbounded preceding and current row
        ) as open_ticket_count
    from grid
    left join changes
        on
            grid.snapshot_date = changes.moved_date
            and grid.team = changes.team
            and grid.priority = changes.priority
)

select
    {{ dbt.concat([
        "cast(snapshot_date as " ~ dbt.type_string() ~ ")", "'|'", "team", "'|'", "priority"
    ]) }} as backlog_entry_id,
    snapshot_date,
    team,
    priority,
    cast(open_ticket_count as integer) as open_ticket_count
from counted
