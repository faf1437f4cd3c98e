WITH incidents AS (
  SELECT
    *
  FROM "cadran____int_incidents_checked" AS "int_incidents_checked"
  WHERE
    rejection_reason IS NULL
), ordered AS (
  SELECT
    *,
    MAX(COALESCE(restored_at, CAST('9999-12-31' AS TIMESTAMP))) OVER (
      PARTITION BY service_id
      ORDER BY started_at, incident_id
      rows BETWEEN UNBOUNDED preceding AND 1 preceding
    ) AS previously_restored_at
  FROM incidents
)
SELECT
  incident_id,
  service_id,
  severity,
  COALESCE(cause, 'unknown') AS cause,
  started_at,
  detected_at,
  acknowledged_at,
  restored_at,
  NOT restored_at IS NULL AS is_restored,
  CAST((
    DATE_DIFF('SECOND', CAST(started_at AS TIMESTAMP), CAST(detected_at AS TIMESTAMP))
  ) AS DECIMAL(18, 6)) / 3600 AS hours_to_detect,
  CAST((
    DATE_DIFF('SECOND', CAST(started_at AS TIMESTAMP), CAST(acknowledged_at AS TIMESTAMP))
  ) AS DECIMAL(18, 6)) / 3600 AS hours_to_acknowledge,
  CAST((
    DATE_DIFF('SECOND', CAST(started_at AS TIMESTAMP), CAST(restored_at AS TIMESTAMP))
  ) AS DECIMAL(18, 6)) / 3600 AS hours_to_restore,
  CASE
    WHEN previously_restored_at <= started_at
    THEN CAST((
      DATE_DIFF('SECOND', CAST(previously_restored_at AS TIMESTAMP), CAST(started_at AS TIMESTAMP))
    ) AS DECIMAL(18, 6)) / 3600
  END AS hours_without_failure
FROM ordered
