WITH answers AS (
  SELECT
    *
  FROM "cadran____int_satisfaction_answers_checked" AS "int_satisfaction_answers_checked"
  WHERE
    rejection_reason IS NULL
)
SELECT
  answer_id,
  customer_id,
  ticket_id,
  touchpoint,
  score,
  score >= 4 AS is_satisfied,
  answered_at,
  CAST((
    (
      answered_at
    ) AT TIME ZONE 'UTC'
  ) AT TIME ZONE 'Europe/Paris' AS DATE) AS answered_date
FROM answers
