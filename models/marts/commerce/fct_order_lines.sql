with

order_lines as (
    select * from {{ ref('int_order_lines_checked') }}
    where rejection_reason is null
),

orders as (
    select * from {{ ref('fct_orders') }}
),

products as (
    select * from {{ ref('dim_products') }}
),

joined as (
    select
        order_lines.order_line_id,
        order_lines.order_id,
        orders.customer_id,
        order_lines.product_id,
        order_lines.line_type,
        order_lines.quantity,
        order_lines.unit_price,
        order_lines.amount,
        products.unit_cost,
        order_lines.quantity * products.unit_cost as cost,
        order_lines.booked_at,
        {{ cadran.business_date('order_lines.booked_at') }} as booked_date
    from order_lines
    left outer join orders
        on order_lines.order_id = orders.order_id
    left outer join products
        on order_lines.product_id = products.product_id
)

-- The 29th of February has no same day in the years around its own: a year later is the 28th.
select
    *,
    booked_date >= {{ dbt.dateadd('year', 1, 'min(booked_date) over ()') }}
    and extract(day from {{ dbt.dateadd('year', 1, 'booked_date') }})
    = extract(day from booked_date) as has_year_before,
    {{ dbt.dateadd('year', 1, 'booked_date') }} <= max(booked_date) over ()
    and extract(day from {{ dbt.dateadd('year', 1, 'booked_date') }})
    = extract(day from booked_date) as has_year_after
from joined
