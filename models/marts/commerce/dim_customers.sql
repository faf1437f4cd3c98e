with

customers as (
    select * from {{ ref('int_customers_checked') }}
    where rejection_reason is null
)

select
    customer_id,
    country,
    segment,
    signed_up_at,
    {{ cadran.business_date('signed_up_at') }} as signed_up_date
from customers
