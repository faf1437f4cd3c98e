WITH probes AS (
  SELECT
    *
  FROM "cadran____int_probes_checked" AS "int_probes_checked"
  WHERE
    rejection_reason IS NULL
)
SELECT
  service_id,
  region,
  probed_at,
  is_up,
  response_ms
FROM probes
