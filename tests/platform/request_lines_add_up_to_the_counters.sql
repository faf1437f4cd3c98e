{#- Where raw request lines exist, they add up by minute to the counters of that minute: requests,
    5xx, timeouts, 4xx and, where every duration is known, each latency bucket. The last two hours
    may have landed between the two, and are left to the next build. -#}
with

lines_by_minute as (
    select
        service_id,
        route,
        minute_at,
        count(*) as request_count,
        sum(case when is_error_5xx then 1 else 0 end) as error_5xx_count,
        sum(case when is_timeout then 1 else 0 end) as timeout_count,
        sum(case when is_error_4xx then 1 else 0 end) as error_4xx_count,
        count(duration_ms) as timed_request_count,
        sum(case when duration_ms <= 50 then 1 else 0 end) as le_50_count,
        sum(
            case when duration_ms > 50 and duration_ms <= 100 then 1 else 0 end
        ) as le_100_count,
        sum(
            case when duration_ms > 100 and duration_ms <= 200 then 1 else 0 end
        ) as le_200_count,
        sum(
            case when duration_ms > 200 and duration_ms <= 300 then 1 else 0 end
        ) as le_300_count,
        sum(
            case when duration_ms > 300 and duration_ms <= 500 then 1 else 0 end
        ) as le_500_count,
        sum(
            case when duration_ms > 500 and duration_ms <= 1000 then 1 else 0 end
        ) as le_1000_count,
        sum(
            case when duration_ms > 1000 and duration_ms <= 2500 then 1 else 0 end
        ) as le_2500_count,
        sum(
            case when duration_ms > 2500 and duration_ms <= 5000 then 1 else 0 end
        ) as le_5000_count,
        sum(case when duration_ms > 5000 then 1 else 0 end) as gt_5000_count
    from {{ ref('fct_request_lines') }}
    where {{ cadran.has_settled('minute_at') }}
    group by service_id, route, minute_at
),

requests as (
    select * from {{ ref('fct_requests_minutely') }}
)

select
    lines_by_minute.service_id,
    lines_by_minute.route,
    lines_by_minute.minute_at
from lines_by_minute
left join requests
    on
        lines_by_minute.service_id = requests.service_id
        and lines_by_minute.route = requests.route
        and lines_by_minute.minute_at = requests.minute_at
where
    requests.minute_at is null
    or lines_by_minute.request_count <> requests.request_count
    or lines_by_minute.error_5xx_count <> requests.error_5xx_count
    or lines_by_minute.timeout_count <> requests.timeout_count
    or lines_by_minute.error_4xx_count <> requests.error_4xx_count
    or (
        lines_by_minute.timed_request_count = lines_by_minute.request_count
        and (
            lines_by_minute.le_50_count <> requests.le_50_count
            or lines_by_minute.le_100_count <> requests.le_100_count
            or lines_by_minute.le_200_count <> requests.le_200_count
            or lines_by_minute.le_300_count <> requests.le_300_count
            or lines_by_minute.le_500_count <> requests.le_500_count
            or lines_by_minute.le_1000_count <> requests.le_1000_count
            or lines_by_minute.le_2500_count <> requests.le_2500_count
            or lines_by_minute.le_5000_count <> requests.le_5000_count
            or lines_by_minute.gt_5000_count <> requests.gt_5000_count
        )
    )
