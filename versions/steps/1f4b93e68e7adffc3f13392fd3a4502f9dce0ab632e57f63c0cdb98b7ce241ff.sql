WITH sessions AS (
  SELECT
    *
  FROM "cadran____int_sessions_checked" AS "int_sessions_checked"
  WHERE
    rejection_reason IS NULL
)
SELECT
  session_id,
  visitor_id,
  customer_id,
  channel,
  device,
  country,
  started_at,
  CAST((
    (
      started_at
    ) AT TIME ZONE 'UTC'
  ) AT TIME ZONE 'Europe/Paris' AS DATE) AS session_date
FROM sessions
