WITH bounds AS (
  SELECT
    CAST(MIN(ordered_date) AS DATE) AS first_date,
    CAST(MAX(ordered_date) AS DATE) AS last_date
  FROM "model"."cadran"."fct_orders" AS "fct_orders"
  UNION ALL
  SELECT
    CAST(MIN(booked_date) AS DATE) AS first_date,
    CAST(MAX(booked_date) AS DATE) AS last_date
  FROM "model"."cadran"."fct_order_lines" AS "fct_order_lines"
  UNION ALL
  SELECT
    CAST(MIN(session_date) AS DATE) AS first_date,
    CAST(MAX(session_date) AS DATE) AS last_date
  FROM "model"."cadran"."fct_sessions" AS "fct_sessions"
  UNION ALL
  SELECT
    CAST(MIN(opened_date) AS DATE) AS first_date,
    CAST(MAX(opened_date) AS DATE) AS last_date
  FROM "model"."cadran"."fct_tickets" AS "fct_tickets"
  UNION ALL
  SELECT
    CAST(MIN(answered_date) AS DATE) AS first_date,
    CAST(MAX(answered_date) AS DATE) AS last_date
  FROM "model"."cadran"."fct_satisfaction_answers" AS "fct_satisfaction_answers"
  UNION ALL
  SELECT
    CAST(MIN(minute_at) AS DATE) AS first_date,
    CAST(MAX(minute_at) AS DATE) AS last_date
  FROM "model"."cadran"."fct_requests_minutely" AS "fct_requests_minutely"
  UNION ALL
  SELECT
    CAST(MIN(probed_at) AS DATE) AS first_date,
    CAST(MAX(probed_at) AS DATE) AS last_date
  FROM "model"."cadran"."fct_probes" AS "fct_probes"
  UNION ALL
  SELECT
    CAST(MIN(started_at) AS DATE) AS first_date,
    CAST(MAX(started_at) AS DATE) AS last_date
  FROM "model"."cadran"."fct_incidents" AS "fct_incidents"
  UNION ALL
  SELECT
    CAST(MIN(deployed_at) AS DATE) AS first_date,
    CAST(MAX(deployed_at) AS DATE) AS last_date
  FROM "model"."cadran"."fct_deployments" AS "fct_deployments"
)
SELECT
  MIN(first_date) AS first_date,
  MAX(last_date) AS last_date,
  (
    CAST(MAX(last_date) AS TIMESTAMP) + CAST(1439 AS BIGINT) * INTERVAL '1' MINUTE
  ) AS last_instant
FROM bounds
