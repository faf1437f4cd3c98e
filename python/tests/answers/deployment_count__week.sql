-- group_by: metric_time__week
with sound as (
    select distinct on (deployment_id) *
    from telemetry.deployments
    where
        service_id in (select service_id from telemetry.services)
        and deployed_at is not null
        and (incident_id is null or is_failed)
    order by deployment_id, deployed_at
)
select date_trunc('week', deployed_at), count(*)
from sound
group by 1
