-- group_by: metric_time__month order_id__channel
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

known_orders as (
    select distinct
        order_id,
        customer_id,
        channel
    from shop.orders
),

lines as (
    select
        l.*,
        o.channel,
        c.country as customer_country,
        c.segment,
        p.category,
        cast((l.booked_at at time zone 'UTC') at time zone 'Europe/Paris' as date) as day,
        l.quantity * p.unit_cost as cost
    from shop.order_lines as l
    inner join known_orders as o on l.order_id = o.order_id
    inner join shop.customers as c on o.customer_id = c.customer_id
    inner join shop.products as p on l.product_id = p.product_id
),

units as (
    select
        cast(date_trunc('month', day) as date) as period,
        channel,
        sum(quantity) as units
    from lines
    where line_type = 'sale'
    group by all
),

placed as (
    select
        cast(date_trunc('month', day) as date) as period,
        channel,
        count(*) as orders
    from orders
    group by all
)

select
    period,
    channel,
    cast(units as double) / orders
from units
full outer join placed using (period, channel)
