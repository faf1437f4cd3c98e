{#- A service, a route and a minute stand in one row of the counters: no request counts twice. -#}
select
    service_id,
    route,
    minute_at
from {{ ref('fct_requests_minutely') }}
group by service_id, route, minute_at
having count(*) > 1
