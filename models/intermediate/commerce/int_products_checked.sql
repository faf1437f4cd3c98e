{{ cadran.checked_rows(
    ref('stg_shop__products'),
    key=['product_id'],
    order_by=['product_name', 'category', 'unit_cost', 'list_price'],
) }}
