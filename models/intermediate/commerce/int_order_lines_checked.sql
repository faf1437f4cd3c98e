{{ cadran.checked_rows(
    ref('stg_shop__order_lines'),
    key=['order_line_id'],
    order_by=[
        'booked_at', 'order_id', 'product_id', 'line_type', 'quantity', 'amount', 'unit_price',
    ],
    references=[
        ('order_id', (cadran.accepted_rows(ref('int_orders_checked')), 'order_id')),
        ('product_id', (cadran.accepted_rows(ref('int_products_checked')), 'product_id')),
    ],
    rules=[
        (
            "marked.line_type = 'sale' and marked.quantity <= 0",
            "quantity of a sale is not above 0",
        ),
        (
            "marked.line_type = 'cancellation' and marked.quantity >= 0",
            "quantity of a cancellation is not below 0",
        ),
        (
            "marked.line_type = 'refund' and marked.quantity > 0",
            "quantity of a refund is above 0",
        ),
        (
            "marked.line_type = 'sale' and marked.amount < 0",
            "amount of a sale is below 0",
        ),
        (
            "marked.line_type in ('cancellation', 'refund') and marked.amount > 0",
            "amount of a cancellation or refund is above 0",
        ),
    ],
) }}
