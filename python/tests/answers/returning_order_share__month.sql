-- group_by: metric_time__month
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
),

firsts as (
    select
        customer_id,
        min((ordered_at, order_id)) as first_order
    from orders
    group by customer_id
)

select
    cast(date_trunc('month', day) as date),
    avg(cast(((ordered_at, order_id) > first_order) as int))
from orders
inner join firsts on orders.customer_id = firsts.customer_id
group by all
