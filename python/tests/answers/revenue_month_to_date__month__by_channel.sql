-- group_by: metric_time__month order_id__channel
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

instants as (
    select started_at as instant from shop.sessions
    union all
    select ordered_at as instant from shop.orders
    union all
    select booked_at as instant from shop.order_lines
    union all
    select opened_at as instant from helpdesk.tickets
    union all
    select answered_at as instant from helpdesk.satisfaction_answers
),

dates as (
    select cast((instant at time zone 'UTC') at time zone 'Europe/Paris' as date) as day
    from instants
    union all
    select cast(probed_at as date) as day from telemetry.probes
),

days as (
    select cast(unnest(generate_series(min(day), max(day), interval 1 day)) as date) as day
    from dates
),

channels as (select distinct channel from lines),

daily as (
    select
        day,
        channel,
        sum(amount) as amount
    from days
    cross join channels
    left outer join lines using (day, channel)
    group by all
),

running as (
    select
        *,
        sum(amount) over (
            partition by channel, date_trunc('month', day) order by day
        ) as value
    from daily
)

select
    cast(date_trunc('month', day) as date),
    channel,
    arg_max(value, day)
from running
group by all
