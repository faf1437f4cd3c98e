{%- set first = "(select cast(first_date as timestamp) from " ~ ref('time_bounds') ~ ")" -%}
{%- set last = "(select last_instant from " ~ ref('time_bounds') ~ ")" -%}

with

series as (
    {{ cadran.time_series('hour', first, last) }}
)

select cast(instant as timestamp) as hour_at
from series
