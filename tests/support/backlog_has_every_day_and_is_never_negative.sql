-- Every day from the first ticket on has one row for each team and priority, so that the last
-- day of a period is the same day for all of them, and no count is below zero.
with

backlog as (
    select * from {{ ref('fct_ticket_backlog_daily') }}
),

expected as (
    select
        ({{ dbt.datediff('min(snapshot_date)', 'max(snapshot_date)', 'day') }} + 1)
        * count(distinct team)
        * count(distinct priority) as row_count
    from backlog
),

found as (
    select
        count(*) as row_count,
        min(open_ticket_count) as lowest_count
    from backlog
)

select
    expected.row_count as expected_row_count,
    found.row_count as found_row_count,
    found.lowest_count
from expected
cross join found
where
    expected.row_count <> found.row_count
    or found.lowest_count < 0
