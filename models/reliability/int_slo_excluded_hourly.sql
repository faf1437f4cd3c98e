with

excluded as (
    select * from {{ cadran.registered('slo_excluded_minutes') }}
),

slices as (
    select * from {{ ref('int_slo_slices_minutely') }}
),

slo_definitions as (
    select * from {{ cadran.registered('slo_definitions') }}
),

localized as (
    select
        excluded.slo_id,
        {{ dbt.date_trunc('hour', 'excluded.minute_at') }} as hour_at,
        cast(
            {{ cadran.local_time('excluded.minute_at', 'slo_definitions.time_zone') }} as date
        ) as local_date,
        slices.units,
        slices.bad_units
    from excluded
    inner join slices
        on
            excluded.slo_id = slices.slo_id
            and excluded.minute_at = slices.minute_at
    inner join slo_definitions
        on excluded.slo_id = slo_definitions.slo_id
)

select
    slo_id,
    hour_at,
    local_date,
    cast(sum(units) as bigint) as units,
    cast(sum(bad_units) as decimal(28, 9)) as bad_units
from localized
group by slo_id, hour_at, local_date
