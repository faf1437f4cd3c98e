select * from {{ ref('int_requests_checked') }}
where rejection_reason is not null
