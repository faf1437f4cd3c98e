-- group_by: metric_time__hour
with sound as (
    -- Of one service, route and minute the smallest count stands, as the contract says.
    select distinct on (service_id, route, minute_at) *
    from telemetry.requests
    where
        service_id in (select service_id from telemetry.services)
        and route is not null
        and minute_at is not null
        and error_5xx_count + timeout_count <= request_count
        and error_5xx_count + error_4xx_count <= request_count
    order by service_id, route, minute_at, request_count
)
select
    date_trunc('hour', minute_at),
    (sum(error_5xx_count) + sum(timeout_count))::double / sum(request_count)
from sound
group by 1
