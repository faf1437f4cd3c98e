-- group_by: metric_time__week order_id__channel
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
    cast(date_trunc('week', day) as date),
    channel,
    cast(sum(amount) as double) / count(*)
from orders
group by all
