WITH deployments AS (
  SELECT
    *
  FROM "cadran____int_deployments_checked" AS "int_deployments_checked"
  WHERE
    rejection_reason IS NULL
)
SELECT
  deployment_id,
  service_id,
  incident_id,
  deployed_at,
  is_failed
FROM deployments
