-- group_by: metric_time__day
with sound as (
    select distinct on (incident_id) *
    from telemetry.incidents
    where
        service_id in (select service_id from telemetry.services)
        and started_at is not null
        and coalesce(restored_at >= started_at, true)
    order by incident_id, started_at
)
select date_trunc('day', started_at), count(*)
from sound
group by 1
