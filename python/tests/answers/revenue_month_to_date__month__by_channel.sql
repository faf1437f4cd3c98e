-- group_by: metric_time__month order_id__channel
with

lines as (
    select
        l.*,
        o.channel,
        c.country as customer_country,
        c.segment,
        p.category,
        l.quantity * p.unit_cost as cost,
        cast((l.booked_at at time zone 'UTC') at time zone 'Europe/Paris' as date) as day
    from shop.order_lines as l
    inner join (select distinct order_id, customer_id, channel from shop.orders) as o
        on l.order_id = o.order_id
    inner join shop.customers as c on o.customer_id = c.customer_id
    inner join shop.products as p on l.product_id = p.product_id
),

days as (
    select unnest(generate_series(min(day), max(day), interval 1 day))::date as day
    from (
        select cast((started_at at time zone 'UTC') at time zone 'Europe/Paris' as date) as day from shop.sessions
        union all
        select cast((ordered_at at time zone 'UTC') at time zone 'Europe/Paris' as date) from shop.orders
        union all
        select cast((booked_at at time zone 'UTC') at time zone 'Europe/Paris' as date) from shop.order_lines
        union all
        select cast((opened_at at time zone 'UTC') at time zone 'Europe/Paris' as date) from helpdesk.tickets
        union all
        select cast((answered_at at time zone 'UTC') at time zone 'Europe/Paris' as date) from helpdesk.satisfaction_answers
        union all
        select cast(probed_at as date) from telemetry.probes
    )
),

daily as (
    select day, channel, sum(amount) as amount
    from days
    cross join (select distinct channel from lines)
    left join lines using (day, channel)
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

select cast(date_trunc('month', day) as date), channel, arg_max(value, day)
from running
group by all
