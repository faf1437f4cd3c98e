WITH counted AS (
  SELECT
    CAST('fast_request_rate' AS TEXT) AS kpi,
    CAST('service' AS TEXT) AS subject_kind,
    service_id AS subject,
    minute_at AS minute_at,
    CAST(SUM(fast_request_count) AS BIGINT) AS good_count,
    CAST(SUM(timed_request_count) AS BIGINT) AS total_count
  FROM "cadran____fct_requests_minutely" AS "fct_requests_minutely"
  GROUP BY
    service_id,
    minute_at
  HAVING
    SUM(timed_request_count) > 0
  UNION ALL
  SELECT
    CAST('fast_request_rate' AS TEXT) AS kpi,
    CAST('all' AS TEXT) AS subject_kind,
    CAST('all' AS TEXT) AS subject,
    minute_at AS minute_at,
    CAST(SUM(fast_request_count) AS BIGINT) AS good_count,
    CAST(SUM(timed_request_count) AS BIGINT) AS total_count
  FROM "cadran____fct_requests_minutely" AS "fct_requests_minutely"
  GROUP BY
    minute_at
  HAVING
    SUM(timed_request_count) > 0
  UNION ALL
  SELECT
    CAST('platform_availability' AS TEXT) AS kpi,
    CAST('service' AS TEXT) AS subject_kind,
    service_id AS subject,
    minute_at AS minute_at,
    CAST(SUM(good_request_count) AS BIGINT) AS good_count,
    CAST(SUM(request_count) AS BIGINT) AS total_count
  FROM "cadran____fct_requests_minutely" AS "fct_requests_minutely"
  GROUP BY
    service_id,
    minute_at
  HAVING
    SUM(request_count) > 0
  UNION ALL
  SELECT
    CAST('probe_uptime_rate' AS TEXT) AS kpi,
    CAST('all' AS TEXT) AS subject_kind,
    CAST('all' AS TEXT) AS subject,
    DATE_TRUNC('MINUTE', probed_at) AS minute_at,
    CAST(SUM(CASE WHEN is_up THEN 1 ELSE 0 END) AS BIGINT) AS good_count,
    CAST(COUNT(probed_at) AS BIGINT) AS total_count
  FROM "cadran____fct_probes" AS "fct_probes"
  GROUP BY
    DATE_TRUNC('MINUTE', probed_at)
  HAVING
    COUNT(probed_at) > 0
)
SELECT
  *
FROM counted
