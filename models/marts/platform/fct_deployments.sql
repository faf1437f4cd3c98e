with

deployments as (
    select * from {{ ref('int_deployments_checked') }}
    where rejection_reason is null
)

select
    deployment_id,
    service_id,
    incident_id,
    deployed_at,
    is_failed
from deployments
