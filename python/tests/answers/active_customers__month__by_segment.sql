-- group_by: metric_time__month customer__segment
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
    cast(date_trunc('month', day) as date),
    c.segment,
    count(distinct orders.customer_id)
from orders
inner join shop.customers as c on orders.customer_id = c.customer_id
group by all
