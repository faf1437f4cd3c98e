WITH slo_definitions AS (
  SELECT
    *
  FROM "source"."slo_register"."slo_definitions" AS "slo_definitions"
), incidents AS (
  SELECT
    *
  FROM "cadran____slo_incidents" AS "slo_incidents"
), burning AS (
  SELECT
    *
  FROM "cadran____int_slo_burning_minutes" AS "int_slo_burning_minutes"
), hours AS (
  SELECT
    *
  FROM "cadran____fct_slo_slices_hourly" AS "fct_slo_slices_hourly"
), named AS (
  SELECT
    incidents.slo_id,
    incidents.incident_id,
    minutes.minute_at,
    ROW_NUMBER() OVER (
      PARTITION BY incidents.slo_id, minutes.minute_at
      ORDER BY incidents.starts_at, incidents.incident_id
    ) AS place
  FROM incidents
  INNER JOIN "cadran____time_spine_minute____spine" AS minutes
    ON incidents.starts_at <= minutes.minute_at
    AND incidents.ends_at > minutes.minute_at
), incident_minutes AS (
  SELECT
    named.slo_id,
    named.incident_id,
    named.minute_at,
    slices.bad_units,
    slices.is_excluded,
    CAST((
      (
        (
          named.minute_at
        ) AT TIME ZONE 'UTC'
      ) AT TIME ZONE slo_definitions.time_zone
    ) AS DATE) AS local_date
  FROM named
  INNER JOIN "cadran____fct_slo_slices_minutely" AS slices
    ON named.slo_id = slices.slo_id AND named.minute_at = slices.minute_at
  INNER JOIN slo_definitions
    ON named.slo_id = slo_definitions.slo_id
  WHERE
    named.place = 1 AND slices.bad_units > 0
), attributed AS (
  SELECT
    slo_id,
    local_date,
    is_excluded,
    incident_id,
    SUM(bad_units) AS bad_units
  FROM incident_minutes
  GROUP BY
    slo_id,
    local_date,
    is_excluded,
    incident_id
), days AS (
  SELECT
    slo_id,
    local_date,
    is_excluded,
    SUM(bad_units) AS bad_units
  FROM hours
  GROUP BY
    slo_id,
    local_date,
    is_excluded
), attributed_days AS (
  SELECT
    slo_id,
    local_date,
    is_excluded,
    SUM(bad_units) AS bad_units
  FROM attributed
  GROUP BY
    slo_id,
    local_date,
    is_excluded
), burning_days AS (
  SELECT
    burning.slo_id,
    CAST((
      (
        (
          burning.minute_at
        ) AT TIME ZONE 'UTC'
      ) AT TIME ZONE slo_definitions.time_zone
    ) AS DATE) AS local_date,
    burning.is_excluded,
    named.incident_id,
    COUNT(*) AS burning_minutes
  FROM burning
  INNER JOIN slo_definitions
    ON burning.slo_id = slo_definitions.slo_id
  LEFT JOIN named
    ON burning.slo_id = named.slo_id
    AND burning.minute_at = named.minute_at
    AND named.place = 1
  GROUP BY
    burning.slo_id,
    CAST((
      (
        (
          burning.minute_at
        ) AT TIME ZONE 'UTC'
      ) AT TIME ZONE slo_definitions.time_zone
    ) AS DATE),
    burning.is_excluded,
    named.incident_id
), burn AS (
  SELECT
    *
  FROM attributed
  UNION ALL
  SELECT
    days.slo_id,
    days.local_date,
    days.is_excluded,
    CAST(NULL AS TEXT) AS incident_id,
    days.bad_units - COALESCE(attributed_days.bad_units, 0) AS bad_units
  FROM days
  LEFT JOIN attributed_days
    ON days.slo_id = attributed_days.slo_id
    AND days.local_date = attributed_days.local_date
    AND days.is_excluded = attributed_days.is_excluded
)
SELECT
  burn.slo_id,
  slo_definitions.slo,
  slo_definitions.subject,
  burn.local_date,
  burn.is_excluded,
  COALESCE(burn.incident_id, 'unattributed') AS incident_id,
  COALESCE(incidents.origin, 'unattributed') AS origin,
  COALESCE(incidents.severity, 'none') AS severity,
  COALESCE(incidents.cause, 'unattributed') AS cause,
  CAST(burn.bad_units AS DECIMAL(28, 9)) AS bad_units,
  CAST(COALESCE(burning_days.burning_minutes, 0) AS BIGINT) AS burning_minutes
FROM burn
INNER JOIN slo_definitions
  ON burn.slo_id = slo_definitions.slo_id
LEFT JOIN incidents
  ON burn.slo_id = incidents.slo_id AND burn.incident_id = incidents.incident_id
LEFT JOIN burning_days
  ON burn.slo_id = burning_days.slo_id
  AND burn.local_date = burning_days.local_date
  AND burn.is_excluded = burning_days.is_excluded
  AND COALESCE(burn.incident_id, '') = COALESCE(burning_days.incident_id, '')
WHERE
  burn.bad_units > 0
