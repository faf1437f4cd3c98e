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
),

days as (
    select cast(unnest(generate_series(min(day), max(day), interval 1 day)) as date) as day
    from lines
),

categories as (select distinct category from lines),

daily as (
    select
        day,
        category,
        sum(amount) as amount
    from days
    cross join categories
    left outer join lines using (day, category)
    group by all
),

compared as (
    select
        n.day,
        n.category,
        n.amount as amount_now,
        t.amount as amount_then
    from daily as n
    inner join daily as t
        on t.day = n.day - interval 1 year and n.category = t.category
)

select
    cast(date_trunc('month', day) as date),
    category,
    cast(coalesce(sum(amount_now), 0) as double)
    / cast(nullif(sum(amount_then), 0) as double) - 1
from compared
group by all
