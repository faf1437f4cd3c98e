WITH excluded AS (
  SELECT
    *
  FROM "source"."slo_register"."slo_excluded_minutes" AS "slo_excluded_minutes"
), slices AS (
  SELECT
    *
  FROM "cadran____int_slo_slices_minutely" AS "int_slo_slices_minutely"
), slo_definitions AS (
  SELECT
    *
  FROM "source"."slo_register"."slo_definitions" AS "slo_definitions"
), localized AS (
  SELECT
    excluded.slo_id,
    DATE_TRUNC('HOUR', excluded.minute_at) AS hour_at,
    CAST((
      (
        (
          excluded.minute_at
        ) AT TIME ZONE 'UTC'
      ) AT TIME ZONE slo_definitions.time_zone
    ) AS DATE) AS local_date,
    slices.units,
    slices.bad_units
  FROM excluded
  INNER JOIN slices
    ON excluded.slo_id = slices.slo_id AND excluded.minute_at = slices.minute_at
  INNER JOIN slo_definitions
    ON excluded.slo_id = slo_definitions.slo_id
)
SELECT
  slo_id,
  hour_at,
  local_date,
  CAST(SUM(units) AS BIGINT) AS units,
  CAST(SUM(bad_units) AS DECIMAL(28, 9)) AS bad_units
FROM localized
GROUP BY
  slo_id,
  hour_at,
  local_date
