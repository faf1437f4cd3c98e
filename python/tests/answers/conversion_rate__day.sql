-- group_by: metric_time__day
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

days as (
    select
        session_id,
        cast((started_at at time zone 'UTC') at time zone 'Europe/Paris' as date) as day
    from shop.sessions
),

sessions as (
    select
        *,
        (session_id, day) in (select (session_id, day) from orders) as converts
    from days
)

select
    cast(date_trunc('day', day) as date),
    cast(count(*) filter (converts) as double) / count(*)
from sessions
group by all
