WITH slo_definitions AS (
  SELECT
    *
  FROM "source"."slo_register"."slo_definitions" AS "slo_definitions"
), objectives AS (
  SELECT
    *
  FROM "source"."slo_register"."slo_objectives" AS "slo_objectives"
), hours AS (
  SELECT
    *
  FROM "cadran____int_slo_slices_hourly" AS "int_slo_slices_hourly"
), excluded_hours AS (
  SELECT
    *
  FROM "cadran____int_slo_excluded_hourly" AS "int_slo_excluded_hourly"
), current_hours AS (
  SELECT
    hours.*,
    slo_definitions.slo,
    slo_definitions.kpi,
    slo_definitions.subject
  FROM hours
  INNER JOIN slo_definitions
    ON hours.slo_id = slo_definitions.slo_id
    AND hours.slice_rule = slo_definitions.slice_rule
), parted AS (
  SELECT
    current_hours.slo_id,
    current_hours.slo,
    current_hours.kpi,
    current_hours.subject,
    current_hours.hour_at,
    current_hours.local_date,
    current_hours.units - COALESCE(excluded_hours.units, 0) AS units,
    current_hours.bad_units - COALESCE(excluded_hours.bad_units, 0) AS bad_units,
    FALSE AS is_excluded
  FROM current_hours
  LEFT JOIN excluded_hours
    ON current_hours.slo_id = excluded_hours.slo_id
    AND current_hours.hour_at = excluded_hours.hour_at
    AND current_hours.local_date = excluded_hours.local_date
  UNION ALL
  SELECT
    current_hours.slo_id,
    current_hours.slo,
    current_hours.kpi,
    current_hours.subject,
    current_hours.hour_at,
    current_hours.local_date,
    excluded_hours.units,
    excluded_hours.bad_units,
    TRUE AS is_excluded
  FROM excluded_hours
  INNER JOIN current_hours
    ON excluded_hours.slo_id = current_hours.slo_id
    AND excluded_hours.hour_at = current_hours.hour_at
    AND excluded_hours.local_date = current_hours.local_date
)
SELECT
  parted.slo_id,
  parted.slo,
  parted.kpi,
  parted.subject,
  parted.hour_at,
  parted.local_date,
  parted.units,
  parted.bad_units,
  CAST(parted.units * (
    1 - objectives.target
  ) AS DECIMAL(28, 7)) AS allowed_units,
  parted.is_excluded
FROM parted
INNER JOIN objectives
  ON parted.slo_id = objectives.slo_id
  AND parted.local_date >= objectives.valid_from_date
  AND parted.local_date < objectives.valid_to_date
WHERE
  parted.units > 0
