WITH staged AS (
  SELECT
    *
  FROM "cadran____stg_helpdesk__tickets" AS "stg_helpdesk__tickets"
), marked AS (
  SELECT
    staged.*
  FROM staged
), judged AS (
  SELECT
    marked.*,
    CASE WHEN NOT marked.fault IS NULL THEN marked.fault END AS broken_rule
  FROM marked
), ranked AS (
  SELECT
    judged.*,
    ROW_NUMBER() OVER (
      PARTITION BY judged.ticket_id, CASE WHEN judged.broken_rule IS NULL THEN 1 ELSE 0 END
      ORDER BY judged.opened_at, judged.customer_id, judged.team, judged.priority, judged.topic
    ) AS occurrence
  FROM judged
)
SELECT
  ranked.*,
  CASE
    WHEN NOT ranked.broken_rule IS NULL
    THEN ranked.broken_rule
    WHEN ranked.occurrence > 1
    THEN 'ticket_id stands more than once'
  END AS rejection_reason
FROM ranked
