{%- set first = "(select cast(first_date as timestamp) from " ~ ref('time_bounds') ~ ")" -%}
{%- set last = "(select cast(last_date as timestamp) from " ~ ref('time_bounds') ~ ")" -%}

with

series as (
    {{ cadran.time_series('day', first, last) }}
)

select cast(instant as date) as date_day
from series
