-- group_by: metric_time__month product__category
with

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
)

select
    cast(date_trunc('month', day) as date),
    category,
    cast(coalesce(-sum(amount) filter (line_type = 'refund'), 0) as double)
    / cast(nullif(sum(amount) filter (line_type = 'sale'), 0) as double)
from lines
group by all
