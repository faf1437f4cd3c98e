WITH source AS (
  SELECT
    *
  FROM "source"."shop"."products" AS "products"
), renamed AS (
  SELECT
    TRY_CAST(product_id AS TEXT) AS product_id,
    TRY_CAST(product_name AS TEXT) AS product_name,
    TRY_CAST(category AS TEXT) AS category,
    TRY_CAST(unit_cost AS DECIMAL(18, 2)) AS unit_cost,
    TRY_CAST(list_price AS DECIMAL(18, 2)) AS list_price,
    CASE
      WHEN product_id IS NULL
      THEN 'product_id is missing'
      WHEN NOT product_id IS NULL AND TRY_CAST(product_id AS TEXT) IS NULL
      THEN 'product_id is no varchar: ' || CAST(product_id AS TEXT)
      WHEN product_name IS NULL
      THEN 'product_name is missing'
      WHEN NOT product_name IS NULL AND TRY_CAST(product_name AS TEXT) IS NULL
      THEN 'product_name is no varchar: ' || CAST(product_name AS TEXT)
      WHEN category IS NULL
      THEN 'category is missing'
      WHEN NOT category IS NULL AND TRY_CAST(category AS TEXT) IS NULL
      THEN 'category is no varchar: ' || CAST(category AS TEXT)
      WHEN unit_cost IS NULL
      THEN 'unit_cost is missing'
      WHEN NOT unit_cost IS NULL AND TRY_CAST(unit_cost AS DECIMAL(18, 2)) IS NULL
      THEN 'unit_cost is no decimal(18, 2): ' || CAST(unit_cost AS TEXT)
      WHEN TRY_CAST(unit_cost AS DECIMAL(18, 2)) < 0
      THEN 'unit_cost is below 0'
      WHEN NOT list_price IS NULL AND TRY_CAST(list_price AS DECIMAL(18, 2)) IS NULL
      THEN 'list_price is no decimal(18, 2): ' || CAST(list_price AS TEXT)
      WHEN TRY_CAST(list_price AS DECIMAL(18, 2)) < 0
      THEN 'list_price is below 0'
    END AS fault
  FROM source
)
SELECT
  *
FROM renamed
