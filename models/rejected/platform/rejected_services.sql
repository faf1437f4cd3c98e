select * from {{ ref('int_services_checked') }}
where rejection_reason is not null
