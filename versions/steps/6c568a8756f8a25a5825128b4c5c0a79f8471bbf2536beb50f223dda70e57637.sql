WITH staged AS (
  SELECT
    *
  FROM "cadran____stg_telemetry__services" AS "stg_telemetry__services"
), marked AS (
  SELECT
    staged.*
  FROM staged
), judged AS (
  SELECT
    marked.*,
    CASE WHEN NOT marked.fault IS NULL THEN marked.fault END AS broken_rule
  FROM marked
), ranked AS (
  SELECT
    judged.*,
    ROW_NUMBER() OVER (
      PARTITION BY judged.service_id, CASE WHEN judged.broken_rule IS NULL THEN 1 ELSE 0 END
      ORDER BY judged.service_name, judged.team, judged.tier
    ) AS occurrence
  FROM judged
)
SELECT
  ranked.*,
  CASE
    WHEN NOT ranked.broken_rule IS NULL
    THEN ranked.broken_rule
    WHEN ranked.occurrence > 1
    THEN 'service_id stands more than once'
  END AS rejection_reason
FROM ranked
