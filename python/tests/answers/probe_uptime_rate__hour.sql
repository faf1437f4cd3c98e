-- group_by: metric_time__hour
with sound as (
    select distinct service_id, region, probed_at, is_up
    from telemetry.probes
    where service_id in (select service_id from telemetry.services) and probed_at is not null
)
select date_trunc('hour', probed_at), count(*) filter (is_up)::double / count(*)
from sound
group by 1
