WITH staged AS (
  SELECT
    *
  FROM "cadran____stg_telemetry__probes" AS "stg_telemetry__probes"
), known_service_id AS (
  SELECT DISTINCT
    service_id AS service_id
  FROM (
    SELECT
      *
    FROM "cadran____int_services_checked" AS "int_services_checked"
    WHERE
      rejection_reason IS NULL
  ) AS accepted
), marked AS (
  SELECT
    staged.*,
    CASE
      WHEN NOT staged.service_id IS NULL AND known_service_id.service_id IS NULL
      THEN 1
      ELSE 0
    END AS lacks_service_id
  FROM staged
  LEFT JOIN known_service_id
    ON staged.service_id = known_service_id.service_id
), judged AS (
  SELECT
    marked.*,
    CASE
      WHEN NOT marked.fault IS NULL
      THEN marked.fault
      WHEN marked.lacks_service_id = 1
      THEN 'service_id is unknown'
    END AS broken_rule
  FROM marked
), ranked AS (
  SELECT
    judged.*,
    ROW_NUMBER() OVER (
      PARTITION BY judged.service_id, judged.region, judged.probed_at, CASE WHEN judged.broken_rule IS NULL THEN 1 ELSE 0 END
      ORDER BY judged.is_up, judged.response_ms
    ) AS occurrence
  FROM judged
)
SELECT
  ranked.*,
  CASE
    WHEN NOT ranked.broken_rule IS NULL
    THEN ranked.broken_rule
    WHEN ranked.occurrence > 1
    THEN 'service_id, region, probed_at stands more than once'
  END AS rejection_reason
FROM ranked
