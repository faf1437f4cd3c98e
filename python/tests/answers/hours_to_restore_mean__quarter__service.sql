-- group_by: metric_time__quarter service__service_name
with sound as (
    select distinct on (incident_id) *
    from telemetry.incidents
    where
        service_id in (select service_id from telemetry.services)
        and started_at is not null
        and coalesce(restored_at >= started_at, true)
    order by incident_id, started_at
)
select
    date_trunc('quarter', r.started_at),
    s.service_name,
    avg(epoch(r.restored_at) - epoch(r.started_at)) / 3600
from sound as r
join telemetry.services as s on s.service_id = r.service_id
group by 1, 2
