with draws as (
    select
        i,
        cast(hash(i * 6) % {{ var('customers') }} as bigint) as customer,
        cast(hash(i * 6 + 1) % 731 as integer) as day,
        cast(hash(i * 6 + 2) % 4 as integer) as channel,
        cast(hash(i * 6 + 3) % 8 as integer) as country,
        cast(hash(i * 6 + 4) % 30000 as integer) as cents,
        cast(hash(i * 6 + 5) % 15000 as integer) as cost_cents
    from range({{ var('orders') }}) as t (i)
)

select
    i as order_id,
    customer as customer_id,
    date '2024-01-01' + day as ordered_date,
    ['web', 'mobile_app', 'marketplace', 'partner_api'][1 + channel] as channel,
    ['FR', 'DE', 'ES', 'IT', 'BE', 'NL', 'GB', 'US'][1 + country] as country,
    cast(cents / 100 as decimal(12, 2)) as amount,
    cast(cost_cents / 100 as decimal(12, 2)) as cost
from draws
-- Orders lie in the order in which they came, as they do where they are appended day by day.
order by day, i
