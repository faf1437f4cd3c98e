WITH tickets AS (
  SELECT
    *
  FROM "cadran____fct_tickets" AS "fct_tickets"
), events AS (
  SELECT
    *
  FROM "cadran____fct_ticket_events" AS "fct_ticket_events"
), moves AS (
  SELECT
    ticket_id,
    team,
    priority,
    opened_at AS moved_at,
    opened_date AS moved_date,
    0 AS step,
    1 AS is_open
  FROM tickets
  UNION ALL
  SELECT
    tickets.ticket_id,
    tickets.team,
    tickets.priority,
    events.occurred_at AS moved_at,
    events.occurred_date AS moved_date,
    CASE WHEN events.event_type = 'resolved' THEN 1 ELSE 2 END AS step,
    CASE WHEN events.event_type = 'resolved' THEN 0 ELSE 1 END AS is_open
  FROM events
  INNER JOIN tickets
    ON events.ticket_id = tickets.ticket_id
  WHERE
    events.event_type IN ('resolved', 'reopened')
), ranked AS (
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY ticket_id, moved_date ORDER BY moved_at DESC, step DESC) AS place_from_day_end
  FROM moves
), changes AS (
  SELECT
    team,
    priority,
    moved_date,
    is_open - COALESCE(LAG(is_open) OVER (PARTITION BY ticket_id ORDER BY moved_date), 0) AS change
  FROM ranked
  WHERE
    place_from_day_end = 1
)
SELECT
  moved_date,
  team,
  priority,
  SUM(change) AS change
FROM changes
GROUP BY
  moved_date,
  team,
  priority
