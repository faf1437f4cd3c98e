with

exclusions as (
    select * from {{ ref('slo_exclusions') }}
    where judgement = 'counted'
),

slo_definitions as (
    select * from {{ ref('slo_definitions') }}
    where not is_composite
),

minutes as (
    select minute_at from {{ ref('time_spine_minute') }}
),

{# Exclusions that overlap name a minute twice; it is one minute all the same. -#}
named as (
    select
        slo_definitions.slo_id,
        exclusions.kind,
        minutes.minute_at,
        {{ dbt.date_trunc(
            'month', cadran.local_time('minutes.minute_at', 'slo_definitions.time_zone')
        ) }} as local_month,
        min(exclusions.cap_minutes) as cap_minutes
    from exclusions
    inner join slo_definitions
        on
            (exclusions.slo is null or exclusions.slo = slo_definitions.slo)
            and (exclusions.subject is null or exclusions.subject = slo_definitions.subject)
    inner join minutes
        on
            exclusions.starts_at <= minutes.minute_at
            and exclusions.ends_at > minutes.minute_at
    group by
        slo_definitions.slo_id,
        exclusions.kind,
        minutes.minute_at,
        {{ dbt.date_trunc(
            'month', cadran.local_time('minutes.minute_at', 'slo_definitions.time_zone')
        ) }}
),

ranked as (
    select
        *,
        row_number() over (
            partition by slo_id, kind, local_month order by minute_at
        ) as minute_of_month
    from named
)

select distinct
    slo_id,
    minute_at
from ranked
where cap_minutes is null or minute_of_month <= cap_minutes
