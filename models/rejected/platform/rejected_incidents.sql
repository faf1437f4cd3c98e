select * from {{ ref('int_incidents_checked') }}
where rejection_reason is not null
