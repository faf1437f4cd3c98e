WITH events AS (
  SELECT
    *
  FROM "cadran____int_ticket_events_checked" AS "int_ticket_events_checked"
  WHERE
    rejection_reason IS NULL
)
SELECT
  event_id,
  ticket_id,
  event_type,
  occurred_at,
  CAST((
    (
      occurred_at
    ) AT TIME ZONE 'UTC'
  ) AT TIME ZONE 'Europe/Paris' AS DATE) AS occurred_date
FROM events
