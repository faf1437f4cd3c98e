WITH source AS (
  SELECT
    *
  FROM "source"."telemetry"."incidents" AS "incidents"
), renamed AS (
  SELECT
    TRY_CAST(incident_id AS TEXT) AS incident_id,
    TRY_CAST(service_id AS TEXT) AS service_id,
    TRY_CAST(severity AS TEXT) AS severity,
    TRY_CAST(cause AS TEXT) AS cause,
    CASE
      WHEN TYPEOF(started_at) = 'VARCHAR'
      AND REGEXP_MATCHES(CAST(started_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
      THEN TRY_CAST(CAST(started_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
      ELSE TRY_CAST(started_at AS TIMESTAMP)
    END AS started_at,
    CASE
      WHEN TYPEOF(detected_at) = 'VARCHAR'
      AND REGEXP_MATCHES(CAST(detected_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
      THEN TRY_CAST(CAST(detected_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
      ELSE TRY_CAST(detected_at AS TIMESTAMP)
    END AS detected_at,
    CASE
      WHEN TYPEOF(acknowledged_at) = 'VARCHAR'
      AND REGEXP_MATCHES(CAST(acknowledged_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
      THEN TRY_CAST(CAST(acknowledged_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
      ELSE TRY_CAST(acknowledged_at AS TIMESTAMP)
    END AS acknowledged_at,
    CASE
      WHEN TYPEOF(restored_at) = 'VARCHAR'
      AND REGEXP_MATCHES(CAST(restored_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
      THEN TRY_CAST(CAST(restored_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
      ELSE TRY_CAST(restored_at AS TIMESTAMP)
    END AS restored_at,
    CASE
      WHEN incident_id IS NULL
      THEN 'incident_id is missing'
      WHEN NOT incident_id IS NULL AND TRY_CAST(incident_id AS TEXT) IS NULL
      THEN 'incident_id is no varchar: ' || CAST(incident_id AS TEXT)
      WHEN service_id IS NULL
      THEN 'service_id is missing'
      WHEN NOT service_id IS NULL AND TRY_CAST(service_id AS TEXT) IS NULL
      THEN 'service_id is no varchar: ' || CAST(service_id AS TEXT)
      WHEN severity IS NULL
      THEN 'severity is missing'
      WHEN NOT severity IS NULL AND TRY_CAST(severity AS TEXT) IS NULL
      THEN 'severity is no varchar: ' || CAST(severity AS TEXT)
      WHEN NOT TRY_CAST(severity AS TEXT) IN ('sev1', 'sev2', 'sev3')
      THEN 'severity is none of sev1, sev2, sev3'
      WHEN NOT cause IS NULL AND TRY_CAST(cause AS TEXT) IS NULL
      THEN 'cause is no varchar: ' || CAST(cause AS TEXT)
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
      WHEN NOT detected_at IS NULL
      AND CASE
        WHEN TYPEOF(detected_at) = 'VARCHAR'
        AND REGEXP_MATCHES(CAST(detected_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
        THEN TRY_CAST(CAST(detected_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
        ELSE TRY_CAST(detected_at AS TIMESTAMP)
      END IS NULL
      THEN 'detected_at is no timestamp: ' || CAST(detected_at AS TEXT)
      WHEN NOT acknowledged_at IS NULL
      AND CASE
        WHEN TYPEOF(acknowledged_at) = 'VARCHAR'
        AND REGEXP_MATCHES(CAST(acknowledged_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
        THEN TRY_CAST(CAST(acknowledged_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
        ELSE TRY_CAST(acknowledged_at AS TIMESTAMP)
      END IS NULL
      THEN 'acknowledged_at is no timestamp: ' || CAST(acknowledged_at AS TEXT)
      WHEN NOT restored_at IS NULL
      AND CASE
        WHEN TYPEOF(restored_at) = 'VARCHAR'
        AND REGEXP_MATCHES(CAST(restored_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
        THEN TRY_CAST(CAST(restored_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
        ELSE TRY_CAST(restored_at AS TIMESTAMP)
      END IS NULL
      THEN 'restored_at is no timestamp: ' || CAST(restored_at AS TEXT)
    END AS fault
  FROM source
)
SELECT
  *
FROM renamed
