-- group_by: metric_time__quarter service__service_name
with sound as (
    select distinct on (deployment_id) *
    from telemetry.deployments
    where
        service_id in (select service_id from telemetry.services)
        and deployed_at is not null
        and (incident_id is null or is_failed)
    order by deployment_id, deployed_at
)
select
    date_trunc('quarter', r.deployed_at),
    s.service_name,
    count(*) filter (r.is_failed)::double / count(*)
from sound as r
join telemetry.services as s on s.service_id = r.service_id
group by 1, 2
