with

products as (
    select * from {{ ref('int_products_checked') }}
    where rejection_reason is null
)

select
    product_id,
    product_name,
    category,
    unit_cost,
    list_price
from products
