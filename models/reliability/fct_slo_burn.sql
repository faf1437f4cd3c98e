{#- What an incident has is counted from its minutes; what none has is what is left of the hours, so
    that nothing is lost or counted twice. A minute of several incidents is of the one that began
    first. -#}
with

slo_definitions as (
    select * from {{ cadran.registered('slo_definitions') }}
),

incidents as (
    select * from {{ ref('slo_incidents') }}
),

burning as (
    select * from {{ ref('int_slo_burning_minutes') }}
),

hours as (
    select * from {{ ref('fct_slo_slices_hourly') }}
),

named as (
    select
        incidents.slo_id,
        incidents.incident_id,
        minutes.minute_at,
        row_number() over (
            partition by incidents.slo_id, minutes.minute_at
            order by incidents.starts_at, incidents.incident_id
        ) as place
    from incidents
    inner join {{ ref('time_spine_minute') }} as minutes
        on
            incidents.starts_at <= minutes.minute_at
            and incidents.ends_at > minutes.minute_at
),

incident_minutes as (
    select
        named.slo_id,
        named.incident_id,
        named.minute_at,
        slices.bad_units,
        slices.is_excluded,
        cast(
            {{ cadran.local_time('named.minute_at', 'slo_definitions.time_zone') }} as date
        ) as local_date
    from named
    inner join {{ ref('fct_slo_slices_minutely') }} as slices
        on
            named.slo_id = slices.slo_id
            and named.minute_at = slices.minute_at
    inner join slo_definitions
        on named.slo_id = slo_definitions.slo_id
    where named.place = 1 and slices.bad_units > 0
),

attributed as (
    select
        slo_id,
        local_date,
        is_excluded,
        incident_id,
        sum(bad_units) as bad_units
    from incident_minutes
    group by slo_id, local_date, is_excluded, incident_id
),

days as (
    select
        slo_id,
        local_date,
        is_excluded,
        sum(bad_units) as bad_units
    from hours
    group by slo_id, local_date, is_excluded
),

attributed_days as (
    select
        slo_id,
        local_date,
        is_excluded,
        sum(bad_units) as bad_units
    from attributed
    group by slo_id, local_date, is_excluded
),

burning_days as (
    select
        burning.slo_id,
        cast(
            {{ cadran.local_time('burning.minute_at', 'slo_definitions.time_zone') }} as date
        ) as local_date,
        burning.is_excluded,
        named.incident_id,
        count(*) as burning_minutes
    from burning
    inner join slo_definitions
        on burning.slo_id = slo_definitions.slo_id
    left join named
        on
            burning.slo_id = named.slo_id
            and burning.minute_at = named.minute_at
            and named.place = 1
    group by
        burning.slo_id,
        cast({{ cadran.local_time('burning.minute_at', 'slo_definitions.time_zone') }} as date),
        burning.is_excluded,
        named.incident_id
),

burn as (
    select * from attributed
    union all
    select
        days.slo_id,
        days.local_date,
        days.is_excluded,
        cast(null as {{ dbt.type_string() }}) as incident_id,
        days.bad_units - coalesce(attributed_days.bad_units, 0) as bad_units
    from days
    left join attributed_days
        on
            days.slo_id = attributed_days.slo_id
            and days.local_date = attributed_days.local_date
            and days.is_excluded = attributed_days.is_excluded
)

select
    burn.slo_id,
    slo_definitions.slo,
    slo_definitions.subject,
    burn.local_date,
    burn.is_excluded,
    coalesce(burn.incident_id, 'unattributed') as incident_id,
    coalesce(incidents.origin, 'unattributed') as origin,
    coalesce(incidents.severity, 'none') as severity,
    coalesce(incidents.cause, 'unattributed') as cause,
    cast(burn.bad_units as decimal(28, 9)) as bad_units,
    cast(coalesce(burning_days.burning_minutes, 0) as bigint) as burning_minutes
from burn
inner join slo_definitions
    on burn.slo_id = slo_definitions.slo_id
left join incidents
    on
        burn.slo_id = incidents.slo_id
        and burn.incident_id = incidents.incident_id
left join burning_days
    on
        burn.slo_id = burning_days.slo_id
        and burn.local_date = burning_days.local_date
        and burn.is_excluded = burning_days.is_excluded
        and coalesce(burn.incident_id, '') = coalesce(burning_days.incident_id, '')
where burn.bad_units > 0
