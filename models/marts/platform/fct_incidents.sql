with

incidents as (
    select * from {{ ref('int_incidents_checked') }}
    where rejection_reason is null
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
    {{ cadran.hours_between('started_at', 'restored_at') }} as hours_to_restore
from incidents
