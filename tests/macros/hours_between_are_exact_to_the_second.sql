{#-
    Hours between two instants count every second, over midnight and over the change of clocks.
-#}
with

cases as (
    select
        cast(written.start_at as timestamp) as start_at,
        cast(written.stop_at as timestamp) as stop_at,
        written.expected
    from (
        values
        ('2026-01-31 23:30:00', '2026-02-01 01:00:00', 1.5),
        ('2026-03-28 12:00:00', '2026-03-29 12:00:00', 24),
        ('2026-01-01 00:00:00', '2026-01-01 00:00:36', 0.01),
        ('2026-01-01 00:00:00', '2026-01-01 00:00:00', 0)
    ) as written (start_at, stop_at, expected)
)

select * from cases
where abs({{ cadran.hours_between('start_at', 'stop_at') }} - expected) > 0.000001
