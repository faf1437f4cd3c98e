with

series as (
    {{ cadran.time_series(
        'day', "cast('2026-01-01' as timestamp)", "cast('2026-03-31' as timestamp)"
    ) }}
)

select cast(instant as date) as date_day
from series
