WITH staged AS (
  SELECT
    *
  FROM "cadran____stg_helpdesk__satisfaction_answers" AS "stg_helpdesk__satisfaction_answers"
), known_ticket_id AS (
  SELECT DISTINCT
    ticket_id AS ticket_id
  FROM "cadran____fct_tickets" AS "fct_tickets"
), marked AS (
  SELECT
    staged.*,
    CASE
      WHEN NOT staged.ticket_id IS NULL AND known_ticket_id.ticket_id IS NULL
      THEN 1
      ELSE 0
    END AS lacks_ticket_id
  FROM staged
  LEFT JOIN known_ticket_id
    ON staged.ticket_id = known_ticket_id.ticket_id
), judged AS (
  SELECT
    marked.*,
    CASE
      WHEN NOT marked.fault IS NULL
      THEN marked.fault
      WHEN marked.lacks_ticket_id = 1
      THEN 'ticket_id is unknown'
    END AS broken_rule
  FROM marked
), ranked AS (
  SELECT
    judged.*,
    ROW_NUMBER() OVER (
      PARTITION BY judged.answer_id, CASE WHEN judged.broken_rule IS NULL THEN 1 ELSE 0 END
      ORDER BY judged.answered_at, judged.customer_id, judged.ticket_id, judged.score
    ) AS occurrence
  FROM judged
)
SELECT
  ranked.*,
  CASE
    WHEN NOT ranked.broken_rule IS NULL
    THEN ranked.broken_rule
    WHEN ranked.occurrence > 1
    THEN 'answer_id stands more than once'
  END AS rejection_reason
FROM ranked
