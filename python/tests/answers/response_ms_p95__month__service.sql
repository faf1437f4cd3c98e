-- group_by: metric_time__month service__service_name
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
),

-- One row per bucket instead of one column: its bounds and the requests in it.
buckets as (
    select
        date_trunc('month', r.minute_at) as period,
        s.service_name as service_name,
        unnest([0, 50, 100, 200, 300, 500, 1000, 2500, 5000]) as low,
        unnest([50, 100, 200, 300, 500, 1000, 2500, 5000, 5000]) as high,
        unnest([
            r.le_50_count, r.le_100_count, r.le_200_count, r.le_300_count, r.le_500_count,
            r.le_1000_count, r.le_2500_count, r.le_5000_count, r.gt_5000_count
        ]) as requests
    from sound as r
    join telemetry.services as s on s.service_id = r.service_id
),

summed as (
    select period, service_name, low, high, sum(requests) as requests
    from buckets
    group by all
),

running as (
    select
        *,
        sum(requests) over (partition by period, service_name order by low, high) as up_to_here,
        0.95 * sum(requests) over (partition by period, service_name) as wanted
    from summed
    where requests > 0
)

select
    period, service_name,
    low + (high - low) * (wanted - (up_to_here - requests))::double / requests
from running
where up_to_here >= wanted
qualify row_number() over (partition by period, service_name order by low, high) = 1
