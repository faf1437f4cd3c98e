WITH slices AS (
  SELECT
    *
  FROM "cadran____int_slo_slices_minutely" AS "int_slo_slices_minutely"
), objectives AS (
  SELECT
    *
  FROM "source"."slo_register"."slo_objectives" AS "slo_objectives"
), excluded AS (
  SELECT
    *
  FROM "source"."slo_register"."slo_excluded_minutes" AS "slo_excluded_minutes"
)
SELECT
  slices.slo_id,
  slices.minute_at,
  slices.units,
  slices.bad_units,
  CAST(slices.units * (
    1 - objectives.target
  ) AS DECIMAL(18, 7)) AS allowed_units,
  NOT excluded.slo_id IS NULL AS is_excluded
FROM slices
INNER JOIN objectives
  ON slices.slo_id = objectives.slo_id
  AND slices.minute_at >= objectives.valid_from_at
  AND slices.minute_at < objectives.valid_to_at
LEFT JOIN excluded
  ON slices.slo_id = excluded.slo_id AND slices.minute_at = excluded.minute_at
