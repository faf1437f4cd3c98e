select * from {{ ref('int_order_lines_checked') }}
where rejection_reason is not null
