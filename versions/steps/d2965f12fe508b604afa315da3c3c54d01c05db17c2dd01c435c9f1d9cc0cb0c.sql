WITH requests AS (
  SELECT
    *
  FROM "cadran____int_requests_checked" AS "int_requests_checked"
  WHERE
    rejection_reason IS NULL
)
SELECT
  service_id,
  route,
  minute_at,
  request_count,
  error_5xx_count,
  timeout_count,
  error_4xx_count,
  le_50_count,
  le_100_count,
  le_200_count,
  le_300_count,
  le_500_count,
  le_1000_count,
  le_2500_count,
  le_5000_count,
  gt_5000_count,
  error_5xx_count + timeout_count AS failed_request_count,
  request_count - error_5xx_count - timeout_count AS good_request_count,
  le_50_count + le_100_count + le_200_count + le_300_count AS fast_request_count,
  CASE WHEN NOT gt_5000_count IS NULL THEN request_count END AS timed_request_count
FROM requests
ORDER BY
  minute_at
