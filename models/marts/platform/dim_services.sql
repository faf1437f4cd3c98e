with

services as (
    select * from {{ ref('int_services_checked') }}
    where rejection_reason is null
)

select
    service_id,
    service_name,
    team,
    tier
from services
