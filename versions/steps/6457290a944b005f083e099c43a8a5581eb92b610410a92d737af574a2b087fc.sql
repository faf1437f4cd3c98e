WITH slices AS (
  SELECT
    *
  FROM "cadran____fct_slo_slices_minutely" AS "fct_slo_slices_minutely"
  WHERE
    bad_units > 0
), tiers AS (
  SELECT
    *
  FROM "source"."slo_register"."slo_alert_tiers" AS "slo_alert_tiers"
), fastest_windows AS (
  SELECT
    slo_id,
    MIN(long_minutes) AS long_minutes
  FROM tiers
  GROUP BY
    slo_id
), fastest_tiers AS (
  SELECT
    tiers.slo_id,
    MAX(tiers.factor) AS factor,
    MAX(tiers.short_minutes) AS short_minutes,
    MAX(tiers.min_bad_units) AS min_bad_units
  FROM tiers
  INNER JOIN fastest_windows
    ON tiers.slo_id = fastest_windows.slo_id
    AND tiers.long_minutes = fastest_windows.long_minutes
  GROUP BY
    tiers.slo_id
)
SELECT
  slices.slo_id,
  slices.minute_at,
  slices.bad_units,
  slices.is_excluded,
  fastest_tiers.short_minutes,
  fastest_tiers.min_bad_units
FROM slices
INNER JOIN fastest_tiers
  ON slices.slo_id = fastest_tiers.slo_id
WHERE
  slices.bad_units >= LEAST(fastest_tiers.factor * slices.allowed_units, slices.units)
