-- group_by: metric_time__quarter
with

orders as (
    select distinct on (order_id)
        order_id,
        customer_id,
        session_id,
        channel,
        country,
        amount,
        ordered_at,
        cast((ordered_at at time zone 'UTC') at time zone 'Europe/Paris' as date) as day
    from shop.orders
    where customer_id in (select customer_id from shop.customers)
)

select
    cast(date_trunc('quarter', day) as date),
    count(distinct customer_id)
from orders
group by all
