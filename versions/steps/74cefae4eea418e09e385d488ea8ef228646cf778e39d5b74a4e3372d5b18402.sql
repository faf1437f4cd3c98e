WITH staged AS (
  SELECT
    *
  FROM "cadran____stg_shop__sessions" AS "stg_shop__sessions"
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
      PARTITION BY judged.session_id, CASE WHEN judged.broken_rule IS NULL THEN 1 ELSE 0 END
      ORDER BY judged.started_at, judged.channel, judged.device, judged.country, judged.visitor_id, judged.customer_id
    ) AS occurrence
  FROM judged
)
SELECT
  ranked.*,
  CASE
    WHEN NOT ranked.broken_rule IS NULL
    THEN ranked.broken_rule
    WHEN ranked.occurrence > 1
    THEN 'session_id stands more than once'
  END AS rejection_reason
FROM ranked
