WITH slo_definitions AS (
  SELECT
    *
  FROM "source"."slo_register"."slo_definitions" AS "slo_definitions"
  WHERE
    NOT is_composite
), burning AS (
  SELECT
    *
  FROM "cadran____int_slo_burning_minutes" AS "int_slo_burning_minutes"
), watermarks AS (
  SELECT
    *
  FROM "cadran____int_sli_watermarks" AS "int_sli_watermarks"
), reported AS (
  SELECT
    slo_definitions.slo_id,
    incidents.incident_id,
    'reported' AS origin,
    incidents.severity,
    incidents.cause,
    DATE_TRUNC('MINUTE', incidents.started_at) AS starts_at,
    (
      DATE_TRUNC('MINUTE', COALESCE(incidents.restored_at, watermarks.watermark_at)) + CAST(1 AS BIGINT) * INTERVAL '1' MINUTE
    ) AS ends_at,
    incidents.is_restored,
    incidents.hours_to_restore
  FROM "cadran____fct_incidents" AS incidents
  INNER JOIN slo_definitions
    ON slo_definitions.subject IN ('all', incidents.service_id)
  INNER JOIN watermarks
    ON slo_definitions.kpi = watermarks.kpi
    AND slo_definitions.subject_kind = watermarks.subject_kind
), spaced AS (
  SELECT
    *,
    LAG(minute_at) OVER (PARTITION BY slo_id ORDER BY minute_at) AS previous_minute_at
  FROM burning
), numbered AS (
  SELECT
    *,
    SUM(
      CASE
        WHEN minute_at <= (
          previous_minute_at + CAST(short_minutes AS BIGINT) * INTERVAL '1' MINUTE
        )
        THEN 0
        ELSE 1
      END
    ) OVER (
      PARTITION BY slo_id
      ORDER BY minute_at
      rows BETWEEN UNBOUNDED preceding AND CURRENT ROW
    ) AS stretch
  FROM spaced
), stretches AS (
  SELECT
    slo_id,
    MIN(minute_at) AS starts_at,
    (
      MAX(minute_at) + CAST(1 AS BIGINT) * INTERVAL '1' MINUTE
    ) AS ends_at
  FROM numbered
  GROUP BY
    slo_id,
    stretch
  HAVING
    COUNT(*) >= MAX(short_minutes) AND SUM(bad_units) >= MAX(min_bad_units)
), unreported AS (
  SELECT
    stretches.*
  FROM stretches
  LEFT JOIN reported
    ON stretches.slo_id = reported.slo_id
    AND stretches.starts_at < reported.ends_at
    AND stretches.ends_at > reported.starts_at
  WHERE
    reported.slo_id IS NULL
)
SELECT
  *
FROM reported
UNION ALL
SELECT
  slo_id,
  'burn:' || slo_id || ':' || CAST(starts_at AS TEXT) AS incident_id,
  'derived' AS origin,
  CAST(NULL AS TEXT) AS severity,
  'unknown' AS cause,
  starts_at,
  ends_at,
  TRUE AS is_restored,
  CAST((
    DATE_DIFF('SECOND', CAST(starts_at AS TIMESTAMP), CAST(ends_at AS TIMESTAMP))
  ) AS DECIMAL(18, 6)) / 3600 AS hours_to_restore
FROM unreported
