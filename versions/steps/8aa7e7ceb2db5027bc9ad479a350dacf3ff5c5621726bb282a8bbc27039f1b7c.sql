WITH customers AS (
  SELECT
    *
  FROM "cadran____int_customers_checked" AS "int_customers_checked"
  WHERE
    rejection_reason IS NULL
)
SELECT
  customer_id,
  country,
  segment,
  signed_up_at,
  CAST((
    (
      signed_up_at
    ) AT TIME ZONE 'UTC'
  ) AT TIME ZONE 'Europe/Paris' AS DATE) AS signed_up_date
FROM customers
