with

slices as (
    select * from {{ ref('int_slo_slices_minutely') }}
),

objectives as (
    select * from {{ cadran.registered('slo_objectives') }}
),

excluded as (
    select * from {{ cadran.registered('slo_excluded_minutes') }}
)

select
    slices.slo_id,
    slices.minute_at,
    slices.units,
    slices.bad_units,
    cast(slices.units * (1 - objectives.target) as decimal(18, 7)) as allowed_units,
    excluded.slo_id is not null as is_excluded
from slices
inner join objectives
    on
        slices.slo_id = objectives.slo_id
        and slices.minute_at >= objectives.valid_from_at
        and slices.minute_at < objectives.valid_to_at
left join excluded
    on
        slices.slo_id = excluded.slo_id
        and slices.minute_at = excluded.minute_at
