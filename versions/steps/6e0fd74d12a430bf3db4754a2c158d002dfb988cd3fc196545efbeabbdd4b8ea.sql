WITH source AS (
  SELECT
    *
  FROM "source"."telemetry"."probes" AS "probes"
), renamed AS (
  SELECT
    TRY_CAST(service_id AS TEXT) AS service_id,
    TRY_CAST(region AS TEXT) AS region,
    CASE
      WHEN TYPEOF(response_ms) NOT LIKE '%INT%'
      THEN CASE
        WHEN TRY_CAST(response_ms AS DOUBLE) = TRY_CAST(response_ms AS INT)
        THEN TRY_CAST(response_ms AS INT)
      END
      ELSE TRY_CAST(response_ms AS INT)
    END AS response_ms,
    TRY_CAST(is_up AS BOOLEAN) AS is_up,
    CASE
      WHEN TYPEOF(probed_at) = 'VARCHAR'
      AND REGEXP_MATCHES(CAST(probed_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
      THEN TRY_CAST(CAST(probed_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
      ELSE TRY_CAST(probed_at AS TIMESTAMP)
    END AS probed_at,
    CASE
      WHEN service_id IS NULL
      THEN 'service_id is missing'
      WHEN NOT service_id IS NULL AND TRY_CAST(service_id AS TEXT) IS NULL
      THEN 'service_id is no varchar: ' || CAST(service_id AS TEXT)
      WHEN region IS NULL
      THEN 'region is missing'
      WHEN NOT region IS NULL AND TRY_CAST(region AS TEXT) IS NULL
      THEN 'region is no varchar: ' || CAST(region AS TEXT)
      WHEN probed_at IS NULL
      THEN 'probed_at is missing'
      WHEN NOT probed_at IS NULL
      AND CASE
        WHEN TYPEOF(probed_at) = 'VARCHAR'
        AND REGEXP_MATCHES(CAST(probed_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
        THEN TRY_CAST(CAST(probed_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
        ELSE TRY_CAST(probed_at AS TIMESTAMP)
      END IS NULL
      THEN 'probed_at is no timestamp: ' || CAST(probed_at AS TEXT)
      WHEN is_up IS NULL
      THEN 'is_up is missing'
      WHEN NOT is_up IS NULL AND TRY_CAST(is_up AS BOOLEAN) IS NULL
      THEN 'is_up is no boolean: ' || CAST(is_up AS TEXT)
      WHEN NOT response_ms IS NULL
      AND CASE
        WHEN TYPEOF(response_ms) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(response_ms AS DOUBLE) = TRY_CAST(response_ms AS INT)
          THEN TRY_CAST(response_ms AS INT)
        END
        ELSE TRY_CAST(response_ms AS INT)
      END IS NULL
      THEN 'response_ms is no integer: ' || CAST(response_ms AS TEXT)
      WHEN CASE
        WHEN TYPEOF(response_ms) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(response_ms AS DOUBLE) = TRY_CAST(response_ms AS INT)
          THEN TRY_CAST(response_ms AS INT)
        END
        ELSE TRY_CAST(response_ms AS INT)
      END < 0
      THEN 'response_ms is below 0'
    END AS fault
  FROM source
)
SELECT
  *
FROM renamed
