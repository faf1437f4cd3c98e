with

probes as (
    select * from {{ ref('int_probes_checked') }}
    where rejection_reason is null
)

select
    service_id,
    region,
    probed_at,
    is_up,
    response_ms
from probes
