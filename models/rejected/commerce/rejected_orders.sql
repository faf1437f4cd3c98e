select * from {{ ref('int_orders_checked') }}
where rejection_reason is not null
