select * from {{ ref('int_products_checked') }}
where rejection_reason is not null
