{#- Incidents that people or tools told of, and stretches that burned like one and nobody told of. -#}
with

slo_definitions as (
    select * from {{ cadran.registered('slo_definitions') }}
    where not is_composite
),

burning as (
    select * from {{ ref('int_slo_burning_minutes') }}
),

watermarks as (
    select * from {{ ref('int_sli_watermarks') }}
),

{# An incident takes the minute in which it begins and the one in which it ends; one that is open
   lasts until the last minute there is. -#}
reported as (
    select
        slo_definitions.slo_id,
        incidents.incident_id,
        'reported' as origin,
        incidents.severity,
        incidents.cause,
        {{ dbt.date_trunc('minute', 'incidents.started_at') }} as starts_at,
        {{ dbt.dateadd('minute', 1, dbt.date_trunc(
            'minute', 'coalesce(incidents.restored_at, watermarks.watermark_at)'
        )) }} as ends_at,
        incidents.is_restored,
        incidents.hours_to_restore
    from {{ ref('fct_incidents') }} as incidents
    inner join slo_definitions
        on slo_definitions.subject in ('all', incidents.service_id)
    inner join watermarks
        on
            slo_definitions.kpi = watermarks.kpi
            and slo_definitions.subject_kind = watermarks.subject_kind
),

{# Burning minutes no further apart than the short window of the tier are one stretch. -#}
spaced as (
    select
        *,
        lag(minute_at) over (partition by slo_id order by minute_at) as previous_minute_at
    from burning
),

numbered as (
    select
        *,
        sum(
            case
                when minute_at <= {{ dbt.dateadd('minute', 'short_minutes', 'previous_minute_at') }}
                    then 0
                else 1
            end
        ) over (partition by slo_id order by minute_at rows unbounded preceding) as stretch
    from spaced
),

stretches as (
    select
        slo_id,
        min(minute_at) as starts_at,
        {{ dbt.dateadd('minute', 1, 'max(minute_at)') }} as ends_at
    from numbered
    group by slo_id, stretch
    having count(*) >= max(short_minutes) and sum(bad_units) >= max(min_bad_units)
),

unreported as (
    select stretches.*
    from stretches
    left join reported
        on
            stretches.slo_id = reported.slo_id
            and stretches.starts_at < reported.ends_at
            and stretches.ends_at > reported.starts_at
    where reported.slo_id is null
)

select * from reported
union all
select
    slo_id,
    {{ dbt.concat(["'burn:'", 'slo_id', "':'", 'cast(starts_at as ' ~ dbt.type_string() ~ ')']) }}
        as incident_id,
    'derived' as origin,
    cast(null as {{ dbt.type_string() }}) as severity,
    'unknown' as cause,
    starts_at,
    ends_at,
    true as is_restored,
    {{ cadran.hours_between('starts_at', 'ends_at') }} as hours_to_restore
from unreported
