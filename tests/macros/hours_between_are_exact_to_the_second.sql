{#-
    Hours between two instants count every second, over midnight and over the change of clocks.
-#}
with

cases as (
    select
        cast('2026-01-31 23:30:00' as timestamp) as start_at,
        cast('2026-02-01 01:00:00' as timestamp) as stop_at,
        1.5 as expected
    union all
    select cast('2026-03-28 12:00:00' as timestamp), cast('2026-03-29 12:00:00' as timestamp), 24
    union all
    select cast('2026-01-01 00:00:00' as timestamp), cast('2026-01-01 00:00:36' as timestamp), 0.01
    union all
    select cast('2026-01-01 00:00:00' as timestamp), cast('2026-01-01 00:00:00' as timestamp), 0
)

select * from cases
where abs({{ cadran.hours_between('start_at', 'stop_at') }} - expected) > 0.000001
