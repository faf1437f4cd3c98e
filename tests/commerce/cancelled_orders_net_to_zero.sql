{#-
    The sale and cancellation lines of a cancelled order net to zero, and those of an order that
    still stands hold no cancellation. A refund that came before the cancellation stays a refund
    and is not part of the sum. An order that has a rejected line is left out.
-#}
with

lines as (
    select
        order_id,
        sum(amount) as net_amount,
        sum(case when line_type = 'cancellation' then 1 else 0 end) as cancellation_count
    from {{ ref('fct_order_lines') }}
    where line_type in ('sale', 'cancellation')
    group by order_id
),

rejected as (
    select distinct order_id from {{ ref('rejected_order_lines') }}
)

select
    orders.order_id,
    orders.is_cancelled,
    lines.net_amount,
    lines.cancellation_count
from {{ ref('fct_orders') }} as orders
inner join lines
    on orders.order_id = lines.order_id
left outer join rejected
    on orders.order_id = rejected.order_id
where
    rejected.order_id is null
    and (
        (orders.is_cancelled and lines.net_amount <> 0)
        or (not orders.is_cancelled and lines.cancellation_count > 0)
    )
