-- group_by: metric_time__quarter customer__country
with
customers as (
    select customer_id, min(country) as country from shop.customers
    where segment in ('consumer', 'business', 'developer')
    group by all
),
happened as (
    select distinct 't' as kind, ticket_id as id, customer_id, opened_at as happened_at
    from helpdesk.tickets
    where opened_at is not null
    union all
    select distinct 'o', order_id, customer_id, ordered_at
    from shop.orders
    where currency = 'EUR' and customer_id in (select customer_id from customers)
)
select
    date_trunc('quarter', timezone('Europe/Paris', timezone('UTC', happened_at)))::date as quarter,
    customers.country,
    1000 * count(*) filter (kind = 't') / nullif(count(*) filter (kind = 'o'), 0)
from happened
left join customers on happened.customer_id = customers.customer_id
group by all
