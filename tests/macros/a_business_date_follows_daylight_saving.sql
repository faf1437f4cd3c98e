{#-
    In Paris the day begins at 23:00 UTC in winter and at 22:00 UTC in summer.
-#}
{{ config(enabled=var('cadran_time_zone', 'UTC') == 'Europe/Paris') }}

with

cases as (
    select
        cast(written.instant as timestamp) as instant,
        cast(written.expected as date) as expected
    from (
        values
        ('2026-01-31 22:59:59', '2026-01-31'),
        ('2026-01-31 23:00:00', '2026-02-01'),
        ('2026-06-30 21:59:59', '2026-06-30'),
        ('2026-06-30 22:00:00', '2026-07-01'),
        {#- The two days of 2026 on which the clocks change. #}
        ('2026-03-28 23:00:00', '2026-03-29'),
        ('2026-03-29 22:00:00', '2026-03-30'),
        ('2026-10-25 22:59:59', '2026-10-25'),
        ('2026-10-25 23:00:00', '2026-10-26')
    ) as written (instant, expected)
)

select * from cases
where {{ cadran.business_date('instant') }} <> expected
