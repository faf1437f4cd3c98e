with

orders as (
    select * from {{ ref('int_orders_checked') }}
    where rejection_reason is null
),

ranked as (
    select
        *,
        row_number() over (
            partition by customer_id order by ordered_at, order_id
        ) as customer_order_number
    from orders
)

select
    order_id,
    customer_id,
    session_id,
    channel,
    country,
    currency,
    status = 'cancelled' as is_cancelled,
    customer_order_number > 1 as is_returning,
    customer_order_number,
    amount as ordered_amount,
    ordered_at,
    {{ cadran.business_date('ordered_at') }} as ordered_date
from ranked
