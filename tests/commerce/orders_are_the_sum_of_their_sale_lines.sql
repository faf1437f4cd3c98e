{#-
    The amount of an order is the sum of its sale lines, to the cent.

    An order that has a rejected line is left out: its sum lacks that line, and the line says why
    in rejected_order_lines.
-#}
with

sales as (
    select
        order_id,
        sum(amount) as sale_amount
    from {{ ref('fct_order_lines') }}
    where line_type = 'sale'
    group by order_id
),

rejected as (
    select distinct order_id from {{ ref('rejected_order_lines') }}
)

select
    orders.order_id,
    orders.ordered_amount,
    sales.sale_amount
from {{ ref('fct_orders') }} as orders
left outer join sales
    on orders.order_id = sales.order_id
left outer join rejected
    on orders.order_id = rejected.order_id
where
    rejected.order_id is null
    and orders.ordered_amount <> coalesce(sales.sale_amount, 0)
