-- group_by: metric_time__month
with
tickets as (
    select
        date_trunc('month', timezone('Europe/Paris', timezone('UTC', opened_at)))::date as month,
        count(distinct ticket_id) as number
    from helpdesk.tickets
    where opened_at is not null
    group by all
),
orders as (
    select
        date_trunc('month', timezone('Europe/Paris', timezone('UTC', ordered_at)))::date as month,
        count(distinct order_id) as number
    from shop.orders
    where
        currency = 'EUR'
        and customer_id in (
            select customer_id from shop.customers
            where segment in ('consumer', 'business', 'developer')
        )
    group by all
)
select
    orders.month,
    1000 * coalesce(tickets.number, 0) / orders.number
from orders
left join tickets on orders.month = tickets.month
