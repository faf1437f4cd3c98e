WITH services AS (
  SELECT
    *
  FROM "cadran____int_services_checked" AS "int_services_checked"
  WHERE
    rejection_reason IS NULL
)
SELECT
  service_id,
  service_name,
  team,
  tier
FROM services
