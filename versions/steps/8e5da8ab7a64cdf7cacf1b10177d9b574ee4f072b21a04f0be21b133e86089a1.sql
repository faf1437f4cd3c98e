WITH tickets AS (
  SELECT
    *
  FROM "cadran____int_tickets_checked" AS "int_tickets_checked"
  WHERE
    rejection_reason IS NULL
), events AS (
  SELECT
    *
  FROM "cadran____fct_ticket_events" AS "fct_ticket_events"
), milestones AS (
  SELECT
    ticket_id,
    MIN(CASE WHEN event_type = 'replied' THEN occurred_at END) AS first_reply_at,
    MIN(CASE WHEN event_type = 'resolved' THEN occurred_at END) AS first_resolved_at,
    MAX(CASE WHEN event_type = 'resolved' THEN occurred_at END) AS last_resolved_at,
    MAX(CASE WHEN event_type = 'reopened' THEN occurred_at END) AS last_reopened_at
  FROM events
  GROUP BY
    ticket_id
), timed AS (
  SELECT
    tickets.ticket_id,
    tickets.customer_id,
    tickets.team,
    tickets.priority,
    tickets.topic,
    tickets.opened_at,
    milestones.first_reply_at,
    milestones.first_resolved_at,
    milestones.last_resolved_at,
    milestones.last_reopened_at,
    CAST((
      DATE_DIFF(
        'SECOND',
        CAST(tickets.opened_at AS TIMESTAMP),
        CAST(milestones.first_reply_at AS TIMESTAMP)
      )
    ) AS DECIMAL(18, 6)) / 3600 AS first_response_hours,
    CAST((
      DATE_DIFF(
        'SECOND',
        CAST(tickets.opened_at AS TIMESTAMP),
        CAST(milestones.first_resolved_at AS TIMESTAMP)
      )
    ) AS DECIMAL(18, 6)) / 3600 AS resolution_hours,
    CASE
      WHEN tickets.priority = 'urgent'
      THEN 8
      WHEN tickets.priority = 'high'
      THEN 24
      WHEN tickets.priority = 'normal'
      THEN 72
      WHEN tickets.priority = 'low'
      THEN 120
    END AS target_hours
  FROM tickets
  LEFT JOIN milestones
    ON tickets.ticket_id = milestones.ticket_id
)
SELECT
  ticket_id,
  customer_id,
  team,
  priority,
  topic,
  opened_at,
  CAST((
    (
      opened_at
    ) AT TIME ZONE 'UTC'
  ) AT TIME ZONE 'Europe/Paris' AS DATE) AS opened_date,
  first_reply_at,
  first_resolved_at,
  CAST((
    (
      first_resolved_at
    ) AT TIME ZONE 'UTC'
  ) AT TIME ZONE 'Europe/Paris' AS DATE) AS resolved_date,
  last_resolved_at,
  NOT first_reply_at IS NULL AS is_replied,
  NOT first_resolved_at IS NULL AS is_resolved,
  COALESCE(last_reopened_at >= last_resolved_at, last_resolved_at IS NULL) AS is_open,
  COALESCE(last_reopened_at >= first_resolved_at, FALSE) AS is_reopened,
  first_response_hours,
  resolution_hours,
  target_hours,
  resolution_hours <= target_hours AS is_resolved_in_target
FROM timed
