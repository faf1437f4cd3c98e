WITH source AS (
  SELECT
    *
  FROM "source"."telemetry"."deployments" AS "deployments"
), renamed AS (
  SELECT
    TRY_CAST(deployment_id AS TEXT) AS deployment_id,
    TRY_CAST(service_id AS TEXT) AS service_id,
    TRY_CAST(incident_id AS TEXT) AS incident_id,
    TRY_CAST(is_failed AS BOOLEAN) AS is_failed,
    CASE
      WHEN TYPEOF(deployed_at) = 'VARCHAR'
      AND REGEXP_MATCHES(CAST(deployed_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
      THEN TRY_CAST(CAST(deployed_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
      ELSE TRY_CAST(deployed_at AS TIMESTAMP)
    END AS deployed_at,
    CASE
      WHEN deployment_id IS NULL
      THEN 'deployment_id is missing'
      WHEN NOT deployment_id IS NULL AND TRY_CAST(deployment_id AS TEXT) IS NULL
      THEN 'deployment_id is no varchar: ' || CAST(deployment_id AS TEXT)
      WHEN service_id IS NULL
      THEN 'service_id is missing'
      WHEN NOT service_id IS NULL AND TRY_CAST(service_id AS TEXT) IS NULL
      THEN 'service_id is no varchar: ' || CAST(service_id AS TEXT)
      WHEN NOT incident_id IS NULL AND TRY_CAST(incident_id AS TEXT) IS NULL
      THEN 'incident_id is no varchar: ' || CAST(incident_id AS TEXT)
      WHEN is_failed IS NULL
      THEN 'is_failed is missing'
      WHEN NOT is_failed IS NULL AND TRY_CAST(is_failed AS BOOLEAN) IS NULL
      THEN 'is_failed is no boolean: ' || CAST(is_failed AS TEXT)
      WHEN deployed_at IS NULL
      THEN 'deployed_at is missing'
      WHEN NOT deployed_at IS NULL
      AND CASE
        WHEN TYPEOF(deployed_at) = 'VARCHAR'
        AND REGEXP_MATCHES(CAST(deployed_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
        THEN TRY_CAST(CAST(deployed_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
        ELSE TRY_CAST(deployed_at AS TIMESTAMP)
      END IS NULL
      THEN 'deployed_at is no timestamp: ' || CAST(deployed_at AS TEXT)
    END AS fault
  FROM source
)
SELECT
  *
FROM renamed
