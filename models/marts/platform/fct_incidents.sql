with

incidents as (
    select * from {{ ref('int_incidents_checked') }}
    where rejection_reason is null
),

{# An incident that begins while another one of its service lasts is no new failure; a service that
   is not well again has none. -#}
ordered as (
    select
        *,
        max(coalesce(restored_at, cast('9999-12-31' as timestamp))) over (
            partition by service_id
            order by started_at, incident_id
            rows between unbounded preceding and 1 preceding
        ) as previously_restored_at
    from incidents
)

select
    incident_id,
    service_id,
    severity,
    coalesce(cause, 'unknown') as cause,
    started_at,
    detected_at,
    acknowledged_at,
    restored_at,
    restored_at is not null as is_restored,
    {{ cadran.hours_between('started_at', 'detected_at') }} as hours_to_detect,
    {{ cadran.hours_between('started_at', 'acknowledged_at') }} as hours_to_acknowledge,
    {{ cadran.hours_between('started_at', 'restored_at') }} as hours_to_restore,
    case
        when previously_restored_at <= started_at
            then {{ cadran.hours_between('previously_restored_at', 'started_at') }}
    end as hours_without_failure
from ordered
