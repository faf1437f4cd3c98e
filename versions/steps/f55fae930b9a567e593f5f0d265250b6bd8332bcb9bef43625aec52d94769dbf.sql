WITH staged AS (
  SELECT
    *
  FROM "cadran____stg_telemetry__requests" AS "stg_telemetry__requests"
), known_service_id AS (
  SELECT DISTINCT
    service_id AS service_id
  FROM (
    SELECT
      *
    FROM "cadran____int_services_checked" AS "int_services_checked"
    WHERE
      rejection_reason IS NULL
  ) AS accepted
), marked AS (
  SELECT
    staged.*,
    CASE
      WHEN NOT staged.service_id IS NULL AND known_service_id.service_id IS NULL
      THEN 1
      ELSE 0
    END AS lacks_service_id
  FROM staged
  LEFT JOIN known_service_id
    ON staged.service_id = known_service_id.service_id
), judged AS (
  SELECT
    marked.*,
    CASE
      WHEN NOT marked.fault IS NULL
      THEN marked.fault
      WHEN marked.minute_at <> DATE_TRUNC('MINUTE', marked.minute_at)
      THEN 'minute_at is not the first instant of a minute'
      WHEN CAST(marked.error_5xx_count AS BIGINT) + marked.timeout_count > marked.request_count
      THEN 'more 5xx and timeouts than requests'
      WHEN CAST(marked.error_5xx_count AS BIGINT) + marked.error_4xx_count > marked.request_count
      THEN 'more 5xx and 4xx than requests'
      WHEN (
        CAST(marked.le_50_count AS BIGINT) + CAST(marked.le_100_count AS BIGINT) + CAST(marked.le_200_count AS BIGINT) + CAST(marked.le_300_count AS BIGINT) + CAST(marked.le_500_count AS BIGINT) + CAST(marked.le_1000_count AS BIGINT) + CAST(marked.le_2500_count AS BIGINT) + CAST(marked.le_5000_count AS BIGINT) + CAST(marked.gt_5000_count AS BIGINT)
      ) IS NULL
      AND NOT COALESCE(
        marked.le_50_count,
        marked.le_100_count,
        marked.le_200_count,
        marked.le_300_count,
        marked.le_500_count,
        marked.le_1000_count,
        marked.le_2500_count,
        marked.le_5000_count,
        marked.gt_5000_count
      ) IS NULL
      THEN 'some latency buckets are missing'
      WHEN CAST(marked.le_50_count AS BIGINT) + CAST(marked.le_100_count AS BIGINT) + CAST(marked.le_200_count AS BIGINT) + CAST(marked.le_300_count AS BIGINT) + CAST(marked.le_500_count AS BIGINT) + CAST(marked.le_1000_count AS BIGINT) + CAST(marked.le_2500_count AS BIGINT) + CAST(marked.le_5000_count AS BIGINT) + CAST(marked.gt_5000_count AS BIGINT) <> marked.request_count
      THEN 'the latency buckets do not add up to request_count'
      WHEN marked.lacks_service_id = 1
      THEN 'service_id is unknown'
    END AS broken_rule
  FROM marked
), ranked AS (
  SELECT
    judged.*,
    ROW_NUMBER() OVER (
      PARTITION BY judged.service_id, judged.route, judged.minute_at, CASE WHEN judged.broken_rule IS NULL THEN 1 ELSE 0 END
      ORDER BY judged.request_count, judged.error_5xx_count, judged.timeout_count, judged.error_4xx_count, judged.le_50_count, judged.le_100_count, judged.le_200_count, judged.le_300_count, judged.le_500_count, judged.le_1000_count, judged.le_2500_count, judged.le_5000_count, judged.gt_5000_count
    ) AS occurrence
  FROM judged
)
SELECT
  ranked.*,
  CASE
    WHEN NOT ranked.broken_rule IS NULL
    THEN ranked.broken_rule
    WHEN ranked.occurrence > 1
    THEN 'service_id, route, minute_at stands more than once'
  END AS rejection_reason
FROM ranked
