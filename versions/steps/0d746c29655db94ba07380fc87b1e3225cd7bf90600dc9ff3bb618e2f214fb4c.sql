WITH staged AS (
  SELECT
    *
  FROM "cadran____stg_telemetry__deployments" AS "stg_telemetry__deployments"
), known_service_id AS (
  SELECT DISTINCT
    service_id AS service_id
  FROM "cadran____dim_services" AS "dim_services"
), known_incident_id AS (
  SELECT DISTINCT
    incident_id AS incident_id
  FROM "cadran____fct_incidents" AS "fct_incidents"
), marked AS (
  SELECT
    staged.*,
    CASE
      WHEN NOT staged.service_id IS NULL AND known_service_id.service_id IS NULL
      THEN 1
      ELSE 0
    END AS lacks_service_id,
    CASE
      WHEN NOT staged.incident_id IS NULL AND known_incident_id.incident_id IS NULL
      THEN 1
      ELSE 0
    END AS lacks_incident_id
  FROM staged
  LEFT JOIN known_service_id
    ON staged.service_id = known_service_id.service_id
  LEFT JOIN known_incident_id
    ON staged.incident_id = known_incident_id.incident_id
), judged AS (
  SELECT
    marked.*,
    CASE
      WHEN NOT marked.fault IS NULL
      THEN marked.fault
      WHEN NOT marked.incident_id IS NULL AND NOT marked.is_failed
      THEN 'caused an incident and is not failed'
      WHEN marked.lacks_service_id = 1
      THEN 'service_id is unknown'
      WHEN marked.lacks_incident_id = 1
      THEN 'incident_id is unknown'
    END AS broken_rule
  FROM marked
), ranked AS (
  SELECT
    judged.*,
    ROW_NUMBER() OVER (
      PARTITION BY judged.deployment_id, CASE WHEN judged.broken_rule IS NULL THEN 1 ELSE 0 END
      ORDER BY judged.deployed_at, judged.service_id, judged.is_failed, judged.incident_id
    ) AS occurrence
  FROM judged
)
SELECT
  ranked.*,
  CASE
    WHEN NOT ranked.broken_rule IS NULL
    THEN ranked.broken_rule
    WHEN ranked.occurrence > 1
    THEN 'deployment_id stands more than once'
  END AS rejection_reason
FROM ranked
