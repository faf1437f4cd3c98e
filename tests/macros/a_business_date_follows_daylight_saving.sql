{#-
    In Paris the day begins at 23:00 UTC in winter and at 22:00 UTC in summer.
-#}
{{ config(enabled=var('cadran_time_zone', 'UTC') == 'Europe/Paris') }}

with

cases as (
    select
        cast('2026-01-31 22:59:59' as timestamp) as instant,
        cast('2026-01-31' as date) as expected
    union all
    select cast('2026-01-31 23:00:00' as timestamp), cast('2026-02-01' as date)
    union all
    select cast('2026-06-30 21:59:59' as timestamp), cast('2026-06-30' as date)
    union all
    select cast('2026-06-30 22:00:00' as timestamp), cast('2026-07-01' as date)
    union all
    {#- The two nights of 2026 on which the clocks change. #}
    select cast('2026-03-28 23:00:00' as timestamp), cast('2026-03-29' as date)
    union all
    select cast('2026-03-29 22:00:00' as timestamp), cast('2026-03-30' as date)
    union all
    select cast('2026-10-25 22:59:59' as timestamp), cast('2026-10-25' as date)
    union all
    select cast('2026-10-25 23:00:00' as timestamp), cast('2026-10-26' as date)
)

select * from cases
where {{ cadran.business_date('instant') }} <> expected
