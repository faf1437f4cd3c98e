{#-
    The amounts of the raw order lines, and of the raw orders, are those of the mart plus those of
    the rejected rows: no join doubles or drops one.
-#}
with

totals as (
    select
        'order_lines' as table_name,
        (select sum(amount) from {{ ref('stg_shop__order_lines') }}) as raw_amount,
        (select sum(amount) from {{ ref('fct_order_lines') }}) as accepted_amount,
        (select sum(amount) from {{ ref('rejected_order_lines') }}) as rejected_amount
    union all
    select
        'orders' as table_name,
        (select sum(amount) from {{ ref('stg_shop__orders') }}) as raw_amount,
        (select sum(ordered_amount) from {{ ref('fct_orders') }}) as accepted_amount,
        (select sum(amount) from {{ ref('rejected_orders') }}) as rejected_amount
)

select * from totals
where
    coalesce(raw_amount, 0)
    <> coalesce(accepted_amount, 0) + coalesce(rejected_amount, 0)
