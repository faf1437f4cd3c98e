-- group_by: metric_time__month service__tier
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
    date_trunc('month', r.minute_at),
    s.tier,
    sum(r.le_50_count + r.le_100_count + r.le_200_count + r.le_300_count)::double
    / sum(r.request_count)
from sound as r
join telemetry.services as s on s.service_id = r.service_id
group by 1, 2
