with

slo_definitions as (
    select * from {{ cadran.registered('slo_definitions') }}
),

objectives as (
    select * from {{ cadran.registered('slo_objectives') }}
),

hours as (
    select * from {{ ref('int_slo_slices_hourly') }}
),

excluded_hours as (
    select * from {{ ref('int_slo_excluded_hourly') }}
),

{# An SLO that counts otherwise than before left old rows, which its rule tells apart. -#}
current_hours as (
    select
        hours.*,
        slo_definitions.slo,
        slo_definitions.kpi,
        slo_definitions.subject
    from hours
    inner join slo_definitions
        on
            hours.slo_id = slo_definitions.slo_id
            and hours.slice_rule = slo_definitions.slice_rule
),

parted as (
    select
        current_hours.slo_id,
        current_hours.slo,
        current_hours.kpi,
        current_hours.subject,
        current_hours.hour_at,
        current_hours.local_date,
        current_hours.units - coalesce(excluded_hours.units, 0) as units,
        current_hours.bad_units - coalesce(excluded_hours.bad_units, 0) as bad_units,
        false as is_excluded
    from current_hours
    left join excluded_hours
        on
            current_hours.slo_id = excluded_hours.slo_id
            and current_hours.hour_at = excluded_hours.hour_at
            and current_hours.local_date = excluded_hours.local_date
    union all
    select
        current_hours.slo_id,
        current_hours.slo,
        current_hours.kpi,
        current_hours.subject,
        current_hours.hour_at,
        current_hours.local_date,
        excluded_hours.units,
        excluded_hours.bad_units,
        true as is_excluded
    from excluded_hours
    inner join current_hours
        on
            excluded_hours.slo_id = current_hours.slo_id
            and excluded_hours.hour_at = current_hours.hour_at
            and excluded_hours.local_date = current_hours.local_date
)

select
    parted.slo_id,
    parted.slo,
    parted.kpi,
    parted.subject,
    parted.hour_at,
    parted.local_date,
    parted.units,
    parted.bad_units,
    cast(parted.units * (1 - objectives.target) as decimal(28, 7)) as allowed_units,
    parted.is_excluded
from parted
inner join objectives
    on
        parted.slo_id = objectives.slo_id
        and parted.local_date >= objectives.valid_from_date
        and parted.local_date < objectives.valid_to_date
where parted.units > 0
