select * from {{ ref('int_tickets_checked') }}
where rejection_reason is not null
