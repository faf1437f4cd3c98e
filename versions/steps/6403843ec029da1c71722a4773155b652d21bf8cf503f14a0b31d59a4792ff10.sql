WITH source AS (
  SELECT
    *
  FROM "source"."shop"."sessions" AS "sessions"
), renamed AS (
  SELECT
    TRY_CAST(session_id AS TEXT) AS session_id,
    TRY_CAST(visitor_id AS TEXT) AS visitor_id,
    TRY_CAST(customer_id AS TEXT) AS customer_id,
    TRY_CAST(channel AS TEXT) AS channel,
    TRY_CAST(device AS TEXT) AS device,
    TRY_CAST(country AS TEXT) AS country,
    CASE
      WHEN TYPEOF(started_at) = 'VARCHAR'
      AND REGEXP_MATCHES(CAST(started_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
      THEN TRY_CAST(CAST(started_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
      ELSE TRY_CAST(started_at AS TIMESTAMP)
    END AS started_at,
    CASE
      WHEN session_id IS NULL
      THEN 'session_id is missing'
      WHEN NOT session_id IS NULL AND TRY_CAST(session_id AS TEXT) IS NULL
      THEN 'session_id is no varchar: ' || CAST(session_id AS TEXT)
      WHEN NOT visitor_id IS NULL AND TRY_CAST(visitor_id AS TEXT) IS NULL
      THEN 'visitor_id is no varchar: ' || CAST(visitor_id AS TEXT)
      WHEN NOT customer_id IS NULL AND TRY_CAST(customer_id AS TEXT) IS NULL
      THEN 'customer_id is no varchar: ' || CAST(customer_id AS TEXT)
      WHEN channel IS NULL
      THEN 'channel is missing'
      WHEN NOT channel IS NULL AND TRY_CAST(channel AS TEXT) IS NULL
      THEN 'channel is no varchar: ' || CAST(channel AS TEXT)
      WHEN device IS NULL
      THEN 'device is missing'
      WHEN NOT device IS NULL AND TRY_CAST(device AS TEXT) IS NULL
      THEN 'device is no varchar: ' || CAST(device AS TEXT)
      WHEN NOT TRY_CAST(device AS TEXT) IN ('desktop', 'mobile', 'tablet', 'api', 'other')
      THEN 'device is none of desktop, mobile, tablet, api, other'
      WHEN country IS NULL
      THEN 'country is missing'
      WHEN NOT country IS NULL AND TRY_CAST(country AS TEXT) IS NULL
      THEN 'country is no varchar: ' || CAST(country AS TEXT)
      WHEN started_at IS NULL
      THEN 'started_at is missing'
      WHEN NOT started_at IS NULL
      AND CASE
        WHEN TYPEOF(started_at) = 'VARCHAR'
        AND REGEXP_MATCHES(CAST(started_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
        THEN TRY_CAST(CAST(started_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
        ELSE TRY_CAST(started_at AS TIMESTAMP)
      END IS NULL
      THEN 'started_at is no timestamp: ' || CAST(started_at AS TEXT)
    END AS fault
  FROM source
)
SELECT
  *
FROM renamed
