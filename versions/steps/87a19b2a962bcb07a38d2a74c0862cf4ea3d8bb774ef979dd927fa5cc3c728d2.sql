WITH source AS (
  SELECT
    *
  FROM "source"."shop"."order_lines" AS "order_lines"
), renamed AS (
  SELECT
    TRY_CAST(order_line_id AS TEXT) AS order_line_id,
    TRY_CAST(order_id AS TEXT) AS order_id,
    TRY_CAST(product_id AS TEXT) AS product_id,
    TRY_CAST(line_type AS TEXT) AS line_type,
    CASE
      WHEN TYPEOF(quantity) NOT LIKE '%INT%'
      THEN CASE
        WHEN TRY_CAST(quantity AS DOUBLE) = TRY_CAST(quantity AS INT)
        THEN TRY_CAST(quantity AS INT)
      END
      ELSE TRY_CAST(quantity AS INT)
    END AS quantity,
    TRY_CAST(unit_price AS DECIMAL(18, 2)) AS unit_price,
    TRY_CAST(amount AS DECIMAL(18, 2)) AS amount,
    CASE
      WHEN TYPEOF(booked_at) = 'VARCHAR'
      AND REGEXP_MATCHES(CAST(booked_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
      THEN TRY_CAST(CAST(booked_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
      ELSE TRY_CAST(booked_at AS TIMESTAMP)
    END AS booked_at,
    CASE
      WHEN order_line_id IS NULL
      THEN 'order_line_id is missing'
      WHEN NOT order_line_id IS NULL AND TRY_CAST(order_line_id AS TEXT) IS NULL
      THEN 'order_line_id is no varchar: ' || CAST(order_line_id AS TEXT)
      WHEN order_id IS NULL
      THEN 'order_id is missing'
      WHEN NOT order_id IS NULL AND TRY_CAST(order_id AS TEXT) IS NULL
      THEN 'order_id is no varchar: ' || CAST(order_id AS TEXT)
      WHEN product_id IS NULL
      THEN 'product_id is missing'
      WHEN NOT product_id IS NULL AND TRY_CAST(product_id AS TEXT) IS NULL
      THEN 'product_id is no varchar: ' || CAST(product_id AS TEXT)
      WHEN line_type IS NULL
      THEN 'line_type is missing'
      WHEN NOT line_type IS NULL AND TRY_CAST(line_type AS TEXT) IS NULL
      THEN 'line_type is no varchar: ' || CAST(line_type AS TEXT)
      WHEN NOT TRY_CAST(line_type AS TEXT) IN ('sale', 'cancellation', 'refund')
      THEN 'line_type is none of sale, cancellation, refund'
      WHEN quantity IS NULL
      THEN 'quantity is missing'
      WHEN NOT quantity IS NULL
      AND CASE
        WHEN TYPEOF(quantity) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(quantity AS DOUBLE) = TRY_CAST(quantity AS INT)
          THEN TRY_CAST(quantity AS INT)
        END
        ELSE TRY_CAST(quantity AS INT)
      END IS NULL
      THEN 'quantity is no integer: ' || CAST(quantity AS TEXT)
      WHEN unit_price IS NULL
      THEN 'unit_price is missing'
      WHEN NOT unit_price IS NULL AND TRY_CAST(unit_price AS DECIMAL(18, 2)) IS NULL
      THEN 'unit_price is no decimal(18, 2): ' || CAST(unit_price AS TEXT)
      WHEN TRY_CAST(unit_price AS DECIMAL(18, 2)) < 0
      THEN 'unit_price is below 0'
      WHEN amount IS NULL
      THEN 'amount is missing'
      WHEN NOT amount IS NULL AND TRY_CAST(amount AS DECIMAL(18, 2)) IS NULL
      THEN 'amount is no decimal(18, 2): ' || CAST(amount AS TEXT)
      WHEN booked_at IS NULL
      THEN 'booked_at is missing'
      WHEN NOT booked_at IS NULL
      AND CASE
        WHEN TYPEOF(booked_at) = 'VARCHAR'
        AND REGEXP_MATCHES(CAST(booked_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
        THEN TRY_CAST(CAST(booked_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
        ELSE TRY_CAST(booked_at AS TIMESTAMP)
      END IS NULL
      THEN 'booked_at is no timestamp: ' || CAST(booked_at AS TEXT)
    END AS fault
  FROM source
)
SELECT
  *
FROM renamed
