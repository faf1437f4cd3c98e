{#- A service, a region and an instant stand in one row of the probes: no probe counts twice. -#}
select
    service_id,
    region,
    probed_at
from {{ ref('fct_probes') }}
group by service_id, region, probed_at
having count(*) > 1
