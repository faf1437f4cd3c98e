{#-
    No unit is lost or counted twice between minutes and hours, whether excluded or not.
-#}
with

minutes as (
    select
        slo_id,
        is_excluded,
        sum(units) as units,
        sum(bad_units) as bad_units,
        sum(allowed_units) as allowed_units
    from {{ ref('fct_slo_slices_minutely') }}
    group by slo_id, is_excluded
),

hours as (
    select
        slo_id,
        is_excluded,
        sum(units) as units,
        sum(bad_units) as bad_units,
        sum(allowed_units) as allowed_units
    from {{ ref('fct_slo_slices_hourly') }}
    group by slo_id, is_excluded
)

select
    coalesce(minutes.slo_id, hours.slo_id) as slo_id,
    minutes.units,
    hours.units as hours_units
from minutes
full outer join hours
    on
        minutes.slo_id = hours.slo_id
        and minutes.is_excluded = hours.is_excluded
where
    coalesce(minutes.units, 0) <> coalesce(hours.units, 0)
    or coalesce(minutes.bad_units, 0) <> coalesce(hours.bad_units, 0)
    or coalesce(minutes.allowed_units, 0) <> coalesce(hours.allowed_units, 0)
