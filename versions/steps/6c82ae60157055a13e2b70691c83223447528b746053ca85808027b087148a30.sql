WITH orders AS (
  SELECT
    *
  FROM "cadran____int_orders_checked" AS "int_orders_checked"
  WHERE
    rejection_reason IS NULL
), ranked AS (
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY ordered_at, order_id) AS customer_order_number
  FROM orders
)
SELECT
  order_id,
  customer_id,
  session_id,
  channel,
  country,
  currency,
  status = 'cancelled' AS is_cancelled,
  customer_order_number > 1 AS is_returning,
  customer_order_number,
  amount AS ordered_amount,
  ordered_at,
  CAST((
    (
      ordered_at
    ) AT TIME ZONE 'UTC'
  ) AT TIME ZONE 'Europe/Paris' AS DATE) AS ordered_date
FROM ranked
