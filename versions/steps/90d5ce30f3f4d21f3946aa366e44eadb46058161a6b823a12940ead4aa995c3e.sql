WITH staged AS (
  SELECT
    *
  FROM "cadran____stg_shop__order_lines" AS "stg_shop__order_lines"
), known_order_id AS (
  SELECT DISTINCT
    order_id AS order_id
  FROM (
    SELECT
      *
    FROM "cadran____int_orders_checked" AS "int_orders_checked"
    WHERE
      rejection_reason IS NULL
  ) AS accepted
), known_product_id AS (
  SELECT DISTINCT
    product_id AS product_id
  FROM (
    SELECT
      *
    FROM "cadran____int_products_checked" AS "int_products_checked"
    WHERE
      rejection_reason IS NULL
  ) AS accepted
), marked AS (
  SELECT
    staged.*,
    CASE
      WHEN NOT staged.order_id IS NULL AND known_order_id.order_id IS NULL
      THEN 1
      ELSE 0
    END AS lacks_order_id,
    CASE
      WHEN NOT staged.product_id IS NULL AND known_product_id.product_id IS NULL
      THEN 1
      ELSE 0
    END AS lacks_product_id
  FROM staged
  LEFT JOIN known_order_id
    ON staged.order_id = known_order_id.order_id
  LEFT JOIN known_product_id
    ON staged.product_id = known_product_id.product_id
), judged AS (
  SELECT
    marked.*,
    CASE
      WHEN NOT marked.fault IS NULL
      THEN marked.fault
      WHEN marked.line_type = 'sale' AND marked.quantity <= 0
      THEN 'quantity of a sale is not above 0'
      WHEN marked.line_type = 'cancellation' AND marked.quantity >= 0
      THEN 'quantity of a cancellation is not below 0'
      WHEN marked.line_type = 'refund' AND marked.quantity > 0
      THEN 'quantity of a refund is above 0'
      WHEN marked.line_type = 'sale' AND marked.amount < 0
      THEN 'amount of a sale is below 0'
      WHEN marked.line_type IN ('cancellation', 'refund') AND marked.amount > 0
      THEN 'amount of a cancellation or refund is above 0'
      WHEN marked.lacks_order_id = 1
      THEN 'order_id is unknown'
      WHEN marked.lacks_product_id = 1
      THEN 'product_id is unknown'
    END AS broken_rule
  FROM marked
), ranked AS (
  SELECT
    judged.*,
    ROW_NUMBER() OVER (
      PARTITION BY judged.order_line_id, CASE WHEN judged.broken_rule IS NULL THEN 1 ELSE 0 END
      ORDER BY judged.booked_at, judged.order_id, judged.product_id, judged.line_type, judged.quantity, judged.amount, judged.unit_price
    ) AS occurrence
  FROM judged
)
SELECT
  ranked.*,
  CASE
    WHEN NOT ranked.broken_rule IS NULL
    THEN ranked.broken_rule
    WHEN ranked.occurrence > 1
    THEN 'order_line_id stands more than once'
  END AS rejection_reason
FROM ranked
