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

sessions as (
    select
        cast((started_at at time zone 'UTC') at time zone 'Europe/Paris' as date) as day,
        exists (
            from orders
            where orders.session_id = s.session_id
                and orders.day = cast((s.started_at at time zone 'UTC') at time zone 'Europe/Paris' as date)
        ) as converts
    from shop.sessions as s
)

select cast(date_trunc('day', day) as date), count(*) filter (converts)::double / count(*)
from sessions
group by all
