select * from {{ ref('int_deployments_checked') }}
where rejection_reason is not null
