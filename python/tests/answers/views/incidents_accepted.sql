-- The incidents that the contract accepts, with the hours to each step, and those that the service
-- had been well before.
create view incidents_accepted as
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
    i.incident_id,
    s.service_name,
    i.service_id,
    i.severity,
    coalesce(i.cause, 'unknown') as cause,
    i.started_at,
    i.restored_at,
    (epoch(i.detected_at) - epoch(i.started_at)) / 3600 as to_detect,
    (epoch(i.acknowledged_at) - epoch(i.started_at)) / 3600 as to_acknowledge,
    (epoch(i.restored_at) - epoch(i.started_at)) / 3600 as to_restore,
    -- None where nothing came before, or something of it is not over.
    (
        select if(
            bool_and(e.restored_at <= i.started_at),
            (epoch(i.started_at) - max(epoch(e.restored_at))) / 3600,
            null
        )
        from sound as e
        where
            e.service_id = i.service_id
            and (e.started_at, e.incident_id) < (i.started_at, i.incident_id)
    ) as well_before
from sound as i
join telemetry.services as s on s.service_id = i.service_id
