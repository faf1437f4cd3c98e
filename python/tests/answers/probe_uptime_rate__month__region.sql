-- group_by: metric_time__month probe__region
with sound as (
    select distinct service_id, region, probed_at, is_up
    from telemetry.probes
    where service_id in (select service_id from telemetry.services) and probed_at is not null
)
select date_trunc('month', probed_at), region, count(*) filter (is_up)::double / count(*)
from sound
group by 1, 2
