WITH slices AS (
  SELECT
    *
  FROM "cadran____int_slo_slices_minutely" AS "int_slo_slices_minutely"
), slo_definitions AS (
  SELECT
    *
  FROM "source"."slo_register"."slo_definitions" AS "slo_definitions"
), relevant AS (
  SELECT
    *
  FROM slices
), quarters AS (
  SELECT
    slo_id,
    slice_rule,
    TIME_BUCKET(INTERVAL '15' MINUTE, minute_at) AS quarter_at,
    SUM(units) AS units,
    SUM(bad_units) AS bad_units
  FROM relevant
  GROUP BY
    slo_id,
    slice_rule,
    TIME_BUCKET(INTERVAL '15' MINUTE, minute_at)
), localized AS (
  SELECT
    quarters.slo_id,
    quarters.slice_rule,
    DATE_TRUNC('HOUR', quarters.quarter_at) AS hour_at,
    CAST((
      (
        (
          quarters.quarter_at
        ) AT TIME ZONE 'UTC'
      ) AT TIME ZONE slo_definitions.time_zone
    ) AS DATE) AS local_date,
    quarters.units,
    quarters.bad_units
  FROM quarters
  INNER JOIN slo_definitions
    ON quarters.slo_id = slo_definitions.slo_id
    AND quarters.slice_rule = slo_definitions.slice_rule
)
SELECT
  slo_id,
  slice_rule,
  hour_at,
  local_date,
  CAST(SUM(units) AS BIGINT) AS units,
  CAST(SUM(bad_units) AS DECIMAL(28, 9)) AS bad_units
FROM localized
GROUP BY
  slo_id,
  slice_rule,
  hour_at,
  local_date
