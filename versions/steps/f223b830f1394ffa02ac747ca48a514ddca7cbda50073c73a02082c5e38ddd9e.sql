WITH series AS (
  SELECT
    UNNEST(
      GENERATE_SERIES(
        (
          SELECT
            CAST(first_date AS TIMESTAMP)
          FROM "cadran____time_bounds____spine" AS "time_bounds"
        ),
        (
          SELECT
            last_instant
          FROM "cadran____time_bounds____spine" AS "time_bounds"
        ),
        INTERVAL '1' MINUTE
      )
    ) AS instant
)
SELECT
  CAST(instant AS TIMESTAMP) AS minute_at
FROM series
