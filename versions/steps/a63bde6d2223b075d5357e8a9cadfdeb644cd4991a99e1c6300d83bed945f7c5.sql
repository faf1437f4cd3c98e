WITH source AS (
  SELECT
    *
  FROM "source"."shop"."orders" AS "orders"
), renamed AS (
  SELECT
    TRY_CAST(order_id AS TEXT) AS order_id,
    TRY_CAST(customer_id AS TEXT) AS customer_id,
    TRY_CAST(session_id AS TEXT) AS session_id,
    TRY_CAST(channel AS TEXT) AS channel,
    TRY_CAST(country AS TEXT) AS country,
    TRY_CAST(currency AS TEXT) AS currency,
    TRY_CAST(status AS TEXT) AS status,
    TRY_CAST(amount AS DECIMAL(18, 2)) AS amount,
    CASE
      WHEN TYPEOF(ordered_at) = 'VARCHAR'
      AND REGEXP_MATCHES(CAST(ordered_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
      THEN TRY_CAST(CAST(ordered_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
      ELSE TRY_CAST(ordered_at AS TIMESTAMP)
    END AS ordered_at,
    CASE
      WHEN order_id IS NULL
      THEN 'order_id is missing'
      WHEN NOT order_id IS NULL AND TRY_CAST(order_id AS TEXT) IS NULL
      THEN 'order_id is no varchar: ' || CAST(order_id AS TEXT)
      WHEN customer_id IS NULL
      THEN 'customer_id is missing'
      WHEN NOT customer_id IS NULL AND TRY_CAST(customer_id AS TEXT) IS NULL
      THEN 'customer_id is no varchar: ' || CAST(customer_id AS TEXT)
      WHEN NOT session_id IS NULL AND TRY_CAST(session_id AS TEXT) IS NULL
      THEN 'session_id is no varchar: ' || CAST(session_id AS TEXT)
      WHEN channel IS NULL
      THEN 'channel is missing'
      WHEN NOT channel IS NULL AND TRY_CAST(channel AS TEXT) IS NULL
      THEN 'channel is no varchar: ' || CAST(channel AS TEXT)
      WHEN country IS NULL
      THEN 'country is missing'
      WHEN NOT country IS NULL AND TRY_CAST(country AS TEXT) IS NULL
      THEN 'country is no varchar: ' || CAST(country AS TEXT)
      WHEN currency IS NULL
      THEN 'currency is missing'
      WHEN NOT currency IS NULL AND TRY_CAST(currency AS TEXT) IS NULL
      THEN 'currency is no varchar: ' || CAST(currency AS TEXT)
      WHEN NOT TRY_CAST(currency AS TEXT) IN ('EUR')
      THEN 'currency is none of EUR'
      WHEN status IS NULL
      THEN 'status is missing'
      WHEN NOT status IS NULL AND TRY_CAST(status AS TEXT) IS NULL
      THEN 'status is no varchar: ' || CAST(status AS TEXT)
      WHEN NOT TRY_CAST(status AS TEXT) IN ('completed', 'cancelled')
      THEN 'status is none of completed, cancelled'
      WHEN ordered_at IS NULL
      THEN 'ordered_at is missing'
      WHEN NOT ordered_at IS NULL
      AND CASE
        WHEN TYPEOF(ordered_at) = 'VARCHAR'
        AND REGEXP_MATCHES(CAST(ordered_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
        THEN TRY_CAST(CAST(ordered_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
        ELSE TRY_CAST(ordered_at AS TIMESTAMP)
      END IS NULL
      THEN 'ordered_at is no timestamp: ' || CAST(ordered_at AS TEXT)
      WHEN amount IS NULL
      THEN 'amount is missing'
      WHEN NOT amount IS NULL AND TRY_CAST(amount AS DECIMAL(18, 2)) IS NULL
      THEN 'amount is no decimal(18, 2): ' || CAST(amount AS TEXT)
      WHEN TRY_CAST(amount AS DECIMAL(18, 2)) < 0
      THEN 'amount is below 0'
    END AS fault
  FROM source
)
SELECT
  *
FROM renamed
