WITH slices AS (
  WITH slo_definitions AS (
    SELECT
      *
    FROM "source"."slo_register"."slo_definitions" AS "slo_definitions"
  ), watermarks AS (
    SELECT
      *
    FROM "cadran____int_sli_watermarks" AS "int_sli_watermarks"
  ), counted AS (
    SELECT
      slo_definitions.slo_id,
      slo_definitions.slice_rule,
      slo_definitions.budgeting,
      slo_definitions.slice_target,
      sli_minutes.minute_at,
      sli_minutes.good_count,
      sli_minutes.total_count
    FROM "cadran____int_sli_minutely" AS sli_minutes
    INNER JOIN slo_definitions
      ON sli_minutes.kpi = slo_definitions.kpi
      AND sli_minutes.subject_kind = slo_definitions.subject_kind
      AND sli_minutes.subject = slo_definitions.subject
    WHERE
      NOT slo_definitions.is_composite
  ), expected AS (
    SELECT
      slo_definitions.slo_id,
      slo_definitions.slice_rule,
      slo_definitions.kpi,
      slo_definitions.subject_kind,
      slo_definitions.subject,
      slo_definitions.no_data,
      minutes.minute_at
    FROM slo_definitions
    INNER JOIN watermarks
      ON slo_definitions.kpi = watermarks.kpi
      AND slo_definitions.subject_kind = watermarks.subject_kind
    INNER JOIN "cadran____time_spine_minute____spine" AS minutes
      ON watermarks.first_minute_at <= minutes.minute_at
      AND watermarks.watermark_at > minutes.minute_at
    WHERE
      slo_definitions.no_data <> 'ignore' AND NOT slo_definitions.is_composite
  ), silent AS (
    SELECT
      expected.slo_id,
      expected.slice_rule,
      expected.minute_at,
      CASE WHEN expected.no_data = 'bad' THEN 1 ELSE 0 END AS bad_units
    FROM expected
    LEFT JOIN "cadran____int_sli_minutely" AS sli_minutes
      ON expected.kpi = sli_minutes.kpi
      AND expected.subject_kind = sli_minutes.subject_kind
      AND expected.subject = sli_minutes.subject
      AND expected.minute_at = sli_minutes.minute_at
    WHERE
      sli_minutes.kpi IS NULL
  )
  SELECT
    slo_id,
    slice_rule,
    minute_at,
    CASE WHEN budgeting = 'occurrences' THEN total_count ELSE 1 END AS units,
    CAST(CASE budgeting
      WHEN 'occurrences'
      THEN total_count - good_count
      WHEN 'timeslices'
      THEN CASE WHEN good_count < slice_target * total_count THEN 1 ELSE 0 END
      ELSE CAST(total_count - good_count AS DECIMAL(38, 9)) / NULLIF(CAST(total_count AS DECIMAL(38, 9)), 0)
    END AS DECIMAL(18, 9)) AS bad_units
  FROM counted
  UNION ALL
  SELECT
    slo_id,
    slice_rule,
    minute_at,
    1 AS units,
    CAST(bad_units AS DECIMAL(18, 9)) AS bad_units
  FROM silent
)
SELECT
  *
FROM slices
