WITH source AS (
  SELECT
    *
  FROM "source"."shop"."customers" AS "customers"
), renamed AS (
  SELECT
    TRY_CAST(customer_id AS TEXT) AS customer_id,
    TRY_CAST(country AS TEXT) AS country,
    TRY_CAST(segment AS TEXT) AS segment,
    CASE
      WHEN TYPEOF(signed_up_at) = 'VARCHAR'
      AND REGEXP_MATCHES(CAST(signed_up_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
      THEN TRY_CAST(CAST(signed_up_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
      ELSE TRY_CAST(signed_up_at AS TIMESTAMP)
    END AS signed_up_at,
    CASE
      WHEN customer_id IS NULL
      THEN 'customer_id is missing'
      WHEN NOT customer_id IS NULL AND TRY_CAST(customer_id AS TEXT) IS NULL
      THEN 'customer_id is no varchar: ' || CAST(customer_id AS TEXT)
      WHEN country IS NULL
      THEN 'country is missing'
      WHEN NOT country IS NULL AND TRY_CAST(country AS TEXT) IS NULL
      THEN 'country is no varchar: ' || CAST(country AS TEXT)
      WHEN segment IS NULL
      THEN 'segment is missing'
      WHEN NOT segment IS NULL AND TRY_CAST(segment AS TEXT) IS NULL
      THEN 'segment is no varchar: ' || CAST(segment AS TEXT)
      WHEN NOT TRY_CAST(segment AS TEXT) IN ('consumer', 'business', 'developer')
      THEN 'segment is none of consumer, business, developer'
      WHEN signed_up_at IS NULL
      THEN 'signed_up_at is missing'
      WHEN NOT signed_up_at IS NULL
      AND CASE
        WHEN TYPEOF(signed_up_at) = 'VARCHAR'
        AND REGEXP_MATCHES(CAST(signed_up_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
        THEN TRY_CAST(CAST(signed_up_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
        ELSE TRY_CAST(signed_up_at AS TIMESTAMP)
      END IS NULL
      THEN 'signed_up_at is no timestamp: ' || CAST(signed_up_at AS TEXT)
    END AS fault
  FROM source
)
SELECT
  *
FROM renamed
