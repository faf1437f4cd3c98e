WITH staged AS (
  SELECT
    *
  FROM "cadran____stg_shop__orders" AS "stg_shop__orders"
), known_customer_id AS (
  SELECT DISTINCT
    customer_id AS customer_id
  FROM (
    SELECT
      *
    FROM "cadran____int_customers_checked" AS "int_customers_checked"
    WHERE
      rejection_reason IS NULL
  ) AS accepted
), marked AS (
  SELECT
    staged.*,
    CASE
      WHEN NOT staged.customer_id IS NULL AND known_customer_id.customer_id IS NULL
      THEN 1
      ELSE 0
    END AS lacks_customer_id
  FROM staged
  LEFT JOIN known_customer_id
    ON staged.customer_id = known_customer_id.customer_id
), judged AS (
  SELECT
    marked.*,
    CASE
      WHEN NOT marked.fault IS NULL
      THEN marked.fault
      WHEN marked.lacks_customer_id = 1
      THEN 'customer_id is unknown'
    END AS broken_rule
  FROM marked
), ranked AS (
  SELECT
    judged.*,
    ROW_NUMBER() OVER (
      PARTITION BY judged.order_id, CASE WHEN judged.broken_rule IS NULL THEN 1 ELSE 0 END
      ORDER BY judged.ordered_at, judged.customer_id, judged.amount, judged.status, judged.channel, judged.country, judged.session_id
    ) AS occurrence
  FROM judged
)
SELECT
  ranked.*,
  CASE
    WHEN NOT ranked.broken_rule IS NULL
    THEN ranked.broken_rule
    WHEN ranked.occurrence > 1
    THEN 'order_id stands more than once'
  END AS rejection_reason
FROM ranked
