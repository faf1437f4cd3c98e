{#-
    What incidents took and what none took are all bad units of a day, excluded or not; burning
    minutes are those of the minutes.
-#}
with

burn as (
    select
        slo_id,
        local_date,
        is_excluded,
        sum(bad_units) as bad_units
    from {{ ref('fct_slo_burn') }}
    group by slo_id, local_date, is_excluded
),

days as (
    select
        slo_id,
        local_date,
        is_excluded,
        sum(bad_units) as bad_units
    from {{ ref('fct_slo_slices_hourly') }}
    group by slo_id, local_date, is_excluded
    having sum(bad_units) > 0
),

different as (
    select coalesce(burn.slo_id, days.slo_id) as slo_id
    from burn
    full outer join days
        on
            burn.slo_id = days.slo_id
            and burn.local_date = days.local_date
            and burn.is_excluded = days.is_excluded
    where coalesce(burn.bad_units, 0) <> coalesce(days.bad_units, 0)
)

select slo_id from different
union all
select 'burning minutes' as slo_id
where
    (select sum(burning_minutes) from {{ ref('fct_slo_burn') }})
    <> (select count(*) from {{ ref('int_slo_burning_minutes') }})
