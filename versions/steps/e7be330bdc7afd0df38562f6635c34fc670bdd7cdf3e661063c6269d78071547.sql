WITH source AS (
  SELECT
    *
  FROM "source"."telemetry"."services" AS "services"
), renamed AS (
  SELECT
    TRY_CAST(service_id AS TEXT) AS service_id,
    TRY_CAST(service_name AS TEXT) AS service_name,
    TRY_CAST(team AS TEXT) AS team,
    TRY_CAST(tier AS TEXT) AS tier,
    CASE
      WHEN service_id IS NULL
      THEN 'service_id is missing'
      WHEN NOT service_id IS NULL AND TRY_CAST(service_id AS TEXT) IS NULL
      THEN 'service_id is no varchar: ' || CAST(service_id AS TEXT)
      WHEN service_name IS NULL
      THEN 'service_name is missing'
      WHEN NOT service_name IS NULL AND TRY_CAST(service_name AS TEXT) IS NULL
      THEN 'service_name is no varchar: ' || CAST(service_name AS TEXT)
      WHEN team IS NULL
      THEN 'team is missing'
      WHEN NOT team IS NULL AND TRY_CAST(team AS TEXT) IS NULL
      THEN 'team is no varchar: ' || CAST(team AS TEXT)
      WHEN tier IS NULL
      THEN 'tier is missing'
      WHEN NOT tier IS NULL AND TRY_CAST(tier AS TEXT) IS NULL
      THEN 'tier is no varchar: ' || CAST(tier AS TEXT)
      WHEN NOT TRY_CAST(tier AS TEXT) IN ('critical', 'standard')
      THEN 'tier is none of critical, standard'
    END AS fault
  FROM source
)
SELECT
  *
FROM renamed
