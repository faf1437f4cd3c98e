{#- Minutes that burn at the factor of the fastest tier of the SLO's policy at least. A target so low
    that nothing burns as fast has those minutes in which every unit was bad. -#}
with

slices as (
    select * from {{ ref('fct_slo_slices_minutely') }}
    where bad_units > 0
),

tiers as (
    select * from {{ cadran.registered('slo_alert_tiers') }}
),

fastest_windows as (
    select
        slo_id,
        min(long_minutes) as long_minutes
    from tiers
    group by slo_id
),

fastest_tiers as (
    select
        tiers.slo_id,
        max(tiers.factor) as factor,
        max(tiers.short_minutes) as short_minutes,
        max(tiers.min_bad_units) as min_bad_units
    from tiers
    inner join fastest_windows
        on
            tiers.slo_id = fastest_windows.slo_id
            and tiers.long_minutes = fastest_windows.long_minutes
    group by tiers.slo_id
)

select
    slices.slo_id,
    slices.minute_at,
    slices.bad_units,
    slices.is_excluded,
    fastest_tiers.short_minutes,
    fastest_tiers.min_bad_units
from slices
inner join fastest_tiers
    on slices.slo_id = fastest_tiers.slo_id
where slices.bad_units >= least(fastest_tiers.factor * slices.allowed_units, slices.units)
