{#-
    A cancellation line takes back exactly what the sale line of the same order and product sold:
    the same units and the same amount with the other sign, once, and not before the sale.

    An order that has a rejected line is left out, since its sale may be the rejected one.
-#}
with

lines as (
    select order_lines.*
    from {{ ref('fct_order_lines') }} as order_lines
    left join {{ ref('rejected_order_lines') }} as rejected
        on order_lines.order_id = rejected.order_id
    where rejected.order_id is null
),

sales as (
    select * from lines
    where line_type = 'sale'
),

cancellations as (
    select
        order_id,
        product_id,
        count(*) as line_count,
        sum(quantity) as quantity,
        sum(amount) as amount,
        min(booked_at) as booked_at
    from lines
    where line_type = 'cancellation'
    group by order_id, product_id
)

select
    cancellations.*,
    sales.quantity as sold_quantity,
    sales.amount as sold_amount
from cancellations
left join sales
    on
        cancellations.order_id = sales.order_id
        and cancellations.product_id = sales.product_id
where
    sales.order_line_id is null
    or cancellations.line_count > 1
    or cancellations.quantity <> -sales.quantity
    or cancellations.amount <> -sales.amount
    or cancellations.booked_at < sales.booked_at
