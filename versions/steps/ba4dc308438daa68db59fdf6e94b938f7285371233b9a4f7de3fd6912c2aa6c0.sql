WITH staged AS (
  SELECT
    *
  FROM (
    SELECT
      events.*,
      tickets.opened_at AS ticket_opened_at
    FROM "cadran____stg_helpdesk__ticket_events" AS events
    LEFT JOIN "cadran____int_tickets_checked" AS tickets
      ON events.ticket_id = tickets.ticket_id AND tickets.rejection_reason IS NULL
  ) AS events_of_tickets
), marked AS (
  SELECT
    staged.*
  FROM staged
), judged AS (
  SELECT
    marked.*,
    CASE
      WHEN NOT marked.fault IS NULL
      THEN marked.fault
      WHEN marked.ticket_opened_at IS NULL
      THEN 'ticket_id is unknown'
      WHEN marked.occurred_at < marked.ticket_opened_at
      THEN 'occurred_at is before the ticket was opened'
    END AS broken_rule
  FROM marked
), ranked AS (
  SELECT
    judged.*,
    ROW_NUMBER() OVER (
      PARTITION BY judged.event_id, CASE WHEN judged.broken_rule IS NULL THEN 1 ELSE 0 END
      ORDER BY judged.occurred_at, judged.ticket_id, judged.event_type
    ) AS occurrence
  FROM judged
)
SELECT
  ranked.*,
  CASE
    WHEN NOT ranked.broken_rule IS NULL
    THEN ranked.broken_rule
    WHEN ranked.occurrence > 1
    THEN 'event_id stands more than once'
  END AS rejection_reason
FROM ranked
