WITH products AS (
  SELECT
    *
  FROM "cadran____int_products_checked" AS "int_products_checked"
  WHERE
    rejection_reason IS NULL
)
SELECT
  product_id,
  product_name,
  category,
  unit_cost,
  list_price
FROM products
