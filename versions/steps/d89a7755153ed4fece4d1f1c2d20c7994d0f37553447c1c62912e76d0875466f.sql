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
            CAST(last_date AS TIMESTAMP)
          FROM "cadran____time_bounds____spine" AS "time_bounds"
        ),
        INTERVAL '1' DAY
      )
    ) AS instant
)
SELECT
  CAST(instant AS DATE) AS date_day
FROM series
