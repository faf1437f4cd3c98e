select * from {{ ref('int_customers_checked') }}
where rejection_reason is not null
