{#- Whole hours from the hours; the minutes before the first whole hour, and those from the last
    hour that was built, from the minutes: the same sums as by a scan of all minutes. -#}
with

windows as (
    select
        *,
        {{ dbt.date_trunc('hour', dbt.dateadd('minute', 59, 'starts_at')) }} as first_whole_hour_at
    from {{ ref('int_slo_windows') }}
),

hours as (
    select * from {{ ref('fct_slo_slices_hourly') }}
),

objectives as (
    select * from {{ cadran.registered('slo_objectives') }}
),

excluded as (
    select * from {{ cadran.registered('slo_excluded_minutes') }}
),

{# The last hour may have been built before it was over. -#}
last_hour as (
    select coalesce(max(hour_at), cast('1970-01-01' as timestamp)) as hour_at from hours
),

steps as (
    select tens.digit * 10 + ones.digit as step
    from (values (0), (1), (2), (3), (4), (5)) as tens (digit)
    cross join
        (values (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) as ones (digit)
),

first_minutes as (
    select distinct {{ dbt.dateadd('minute', 'steps.step', 'windows.starts_at') }} as minute_at
    from windows
    cross join steps
    where
        {{ dbt.dateadd('minute', 'steps.step', 'windows.starts_at') }} < windows.first_whole_hour_at
),

{% for name, relation in [
    ('sli_minutes', ref('int_sli_minutely')), ('minutes', ref('time_spine_minute')),
] -%}
    near_{{ name }} as (
        select {{ name }}.*
        from {{ relation }} as {{ name }}
        inner join first_minutes
            on {{ name }}.minute_at = first_minutes.minute_at
        cross join last_hour
        where {{ name }}.minute_at < last_hour.hour_at
        union all
        select {{ name }}.*
        from {{ relation }} as {{ name }}
        where {{ name }}.minute_at >= (select last_hour.hour_at from last_hour)
    ),

{% endfor -%}
slices as (
    {{ cadran.slo_slices('near_sli_minutes', 'near_minutes') }}
),

parts as (
    select
        windows.slo_id,
        windows.window_use,
        windows.window_minutes,
        hours.units,
        hours.bad_units,
        hours.allowed_units,
        hours.is_excluded
    from windows
    inner join hours
        on
            windows.slo_id = hours.slo_id
            and windows.first_whole_hour_at <= hours.hour_at
    cross join last_hour
    where hours.hour_at < last_hour.hour_at
    union all
    select
        windows.slo_id,
        windows.window_use,
        windows.window_minutes,
        slices.units,
        slices.bad_units,
        slices.units * (1 - objectives.target) as allowed_units,
        excluded.slo_id is not null as is_excluded
    from windows
    inner join slices
        on
            windows.slo_id = slices.slo_id
            and windows.starts_at <= slices.minute_at
            and windows.ends_at > slices.minute_at
    inner join objectives
        on
            slices.slo_id = objectives.slo_id
            and slices.minute_at >= objectives.valid_from_at
            and slices.minute_at < objectives.valid_to_at
    left join excluded
        on
            slices.slo_id = excluded.slo_id
            and slices.minute_at = excluded.minute_at
    cross join last_hour
    where
        slices.minute_at < windows.first_whole_hour_at
        or slices.minute_at >= last_hour.hour_at
),

sums as (
    select
        slo_id,
        window_use,
        coalesce(window_minutes, 0) as window_minutes,
        sum(case when not is_excluded then units end) as units,
        sum(case when not is_excluded then bad_units end) as bad_units,
        sum(case when not is_excluded then allowed_units end) as allowed_units,
        sum(units) as gross_units,
        sum(bad_units) as gross_bad_units,
        sum(allowed_units) as gross_allowed_units
    from parts
    group by slo_id, window_use, coalesce(window_minutes, 0)
)

select
    windows.slo_id,
    windows.window_use,
    windows.window_minutes,
    windows.starts_at,
    windows.ends_at,
    coalesce(sums.units, 0) as units,
    coalesce(sums.bad_units, 0) as bad_units,
    coalesce(sums.allowed_units, 0) as allowed_units,
    coalesce(sums.gross_units, 0) as gross_units,
    coalesce(sums.gross_bad_units, 0) as gross_bad_units,
    coalesce(sums.gross_allowed_units, 0) as gross_allowed_units
from windows
left join sums
    on
        windows.slo_id = sums.slo_id
        and windows.window_use = sums.window_use
        and coalesce(windows.window_minutes, 0) = sums.window_minutes
