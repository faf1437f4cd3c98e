SELECT
  CAST('fast_request_rate' AS TEXT) AS kpi,
  CAST('service' AS TEXT) AS subject_kind,
  DATE_TRUNC('MINUTE', MIN(minute_at)) AS first_minute_at,
  (
    DATE_TRUNC('MINUTE', MAX(minute_at)) + CAST(1 AS BIGINT) * INTERVAL '1' MINUTE
  ) AS watermark_at
FROM "cadran____fct_requests_minutely" AS "fct_requests_minutely"
UNION ALL
SELECT
  CAST('fast_request_rate' AS TEXT) AS kpi,
  CAST('all' AS TEXT) AS subject_kind,
  DATE_TRUNC('MINUTE', MIN(minute_at)) AS first_minute_at,
  (
    DATE_TRUNC('MINUTE', MAX(minute_at)) + CAST(1 AS BIGINT) * INTERVAL '1' MINUTE
  ) AS watermark_at
FROM "cadran____fct_requests_minutely" AS "fct_requests_minutely"
UNION ALL
SELECT
  CAST('platform_availability' AS TEXT) AS kpi,
  CAST('service' AS TEXT) AS subject_kind,
  DATE_TRUNC('MINUTE', MIN(minute_at)) AS first_minute_at,
  (
    DATE_TRUNC('MINUTE', MAX(minute_at)) + CAST(1 AS BIGINT) * INTERVAL '1' MINUTE
  ) AS watermark_at
FROM "cadran____fct_requests_minutely" AS "fct_requests_minutely"
UNION ALL
SELECT
  CAST('probe_uptime_rate' AS TEXT) AS kpi,
  CAST('all' AS TEXT) AS subject_kind,
  DATE_TRUNC('MINUTE', MIN(probed_at)) AS first_minute_at,
  (
    DATE_TRUNC('MINUTE', MAX(probed_at)) + CAST(1 AS BIGINT) * INTERVAL '1' MINUTE
  ) AS watermark_at
FROM "cadran____fct_probes" AS "fct_probes"
