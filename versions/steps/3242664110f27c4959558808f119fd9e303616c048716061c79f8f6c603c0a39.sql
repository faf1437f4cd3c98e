WITH order_lines AS (
  SELECT
    *
  FROM "cadran____int_order_lines_checked" AS "int_order_lines_checked"
  WHERE
    rejection_reason IS NULL
), orders AS (
  SELECT
    *
  FROM "cadran____fct_orders" AS "fct_orders"
), products AS (
  SELECT
    *
  FROM "cadran____dim_products" AS "dim_products"
), joined AS (
  SELECT
    order_lines.order_line_id,
    order_lines.order_id,
    orders.customer_id,
    order_lines.product_id,
    order_lines.line_type,
    order_lines.quantity,
    order_lines.unit_price,
    order_lines.amount,
    products.unit_cost,
    order_lines.quantity * products.unit_cost AS cost,
    order_lines.booked_at,
    CAST((
      (
        order_lines.booked_at
      ) AT TIME ZONE 'UTC'
    ) AT TIME ZONE 'Europe/Paris' AS DATE) AS booked_date
  FROM order_lines
  LEFT OUTER JOIN orders
    ON order_lines.order_id = orders.order_id
  LEFT OUTER JOIN products
    ON order_lines.product_id = products.product_id
)
SELECT
  *,
  booked_date >= (
    MIN(booked_date) OVER () + CAST(1 AS BIGINT) * INTERVAL '1' YEAR
  )
  AND EXTRACT(DAY FROM (
    booked_date + CAST(1 AS BIGINT) * INTERVAL '1' YEAR
  )) = EXTRACT(DAY FROM booked_date) AS has_year_before,
  (
    booked_date + CAST(1 AS BIGINT) * INTERVAL '1' YEAR
  ) <= MAX(booked_date) OVER ()
  AND EXTRACT(DAY FROM (
    booked_date + CAST(1 AS BIGINT) * INTERVAL '1' YEAR
  )) = EXTRACT(DAY FROM booked_date) AS has_year_after
FROM joined
