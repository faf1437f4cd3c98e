with

steps as (
    select * from {{ ref('slo_objective_steps') }}
),

following as (
    select
        *,
        coalesce(
            lead(valid_from_date) over (partition by slo_id order by valid_from_date),
            cast('9999-01-01' as date)
        ) as valid_to_date
    from steps
)

select
    slo_id,
    valid_from_date,
    valid_to_date,
    {{ cadran.utc_time('cast(valid_from_date as timestamp)', 'time_zone') }} as valid_from_at,
    {{ cadran.utc_time('cast(valid_to_date as timestamp)', 'time_zone') }} as valid_to_at,
    target
from following
