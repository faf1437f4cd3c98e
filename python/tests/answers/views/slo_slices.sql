-- The slices of the demo's SLOs from the raw files, objectives and exclusions written out again:
-- slo_id, service, local day, minute, units, bad, allowed, excluded.
create view slo_slices as
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
of_service as (
    select
        service_id, minute_at, sum(request_count) as n,
        sum(error_5xx_count + timeout_count) as failed,
        sum(le_500_count + le_1000_count + le_2500_count + le_5000_count + gt_5000_count) as slow
    from sound
    group by all
    having sum(request_count) > 0
),
probed as (
    select date_trunc('minute', probed_at) as minute_at, count(*) as n,
        count(*) filter (not is_up) as failed
    from (
        select distinct service_id, region, probed_at, is_up from telemetry.probes
        where service_id in (select service_id from telemetry.services) and probed_at is not null
    )
    group by 1
),
rolling as (
    select 'availability_28d' as slo, service_id, minute_at, 'Europe/Paris' as zone, n as units,
        failed::double as bad,
        case service_id
            when 'search' then 0.005 when 'accounts' then 0.002
            when 'checkout' then if(minute_at >= timestamp '2026-06-30 22:00', 0.001, 0.002)
            else 0.001
        end as allowed
    from of_service
    union all
    select 'latency_28d', service_id, minute_at, 'Europe/Paris', n, slow,
        map {'storefront': 0.02, 'checkout': 0.07, 'public_api': 0.03, 'search': 0.07}[service_id]
    from of_service where service_id <> 'accounts'
),
monthly as (
    -- A minute with more than one failure in ten is bad.
    select 'availability_month', service_id, minute_at, 'UTC', 1, if(10 * failed > n, 1, 0),
        if(service_id = 'storefront', 0.001, 0.002)
    from of_service where service_id in ('storefront', 'public_api')
    union all
    select 'latency_month', null, minute_at, 'UTC', sum(n), sum(slow), 0.04
    from of_service group by minute_at
    union all
    select 'probes_quarter', null, minute_at, 'Europe/Paris', 1, failed / n, 0.002 from probed
),
minutes as (select * from rolling union all select * from monthly)
select
    if(m.service_id is null, slo, slo || ':' || m.service_id) as slo_id,
    slo,
    s.service_name,
    s.team,
    cast(timezone(zone, timezone('UTC', minute_at)) as date) as day,
    minute_at,
    m.service_id,
    units,
    bad,
    units * allowed as allowed,
    coalesce(
        m.service_id = 'storefront'
        and minute_at >= '2026-10-03 02:00' and minute_at < '2026-10-03 04:00', false
    )
    or coalesce(
        slo = 'availability_28d' and m.service_id = 'public_api'
        and minute_at >= '2026-10-27 13:10' and minute_at < '2026-10-27 13:40', false
    ) as excluded
from minutes as m
left join telemetry.services as s on s.service_id = m.service_id
