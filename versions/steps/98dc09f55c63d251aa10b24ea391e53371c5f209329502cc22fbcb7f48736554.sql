WITH source AS (
  SELECT
    *
  FROM "source"."telemetry"."requests" AS "requests"
), renamed AS (
  SELECT
    TRY_CAST(service_id AS TEXT) AS service_id,
    TRY_CAST(route AS TEXT) AS route,
    CASE
      WHEN TYPEOF(request_count) NOT LIKE '%INT%'
      THEN CASE
        WHEN TRY_CAST(request_count AS DOUBLE) = TRY_CAST(request_count AS INT)
        THEN TRY_CAST(request_count AS INT)
      END
      ELSE TRY_CAST(request_count AS INT)
    END AS request_count,
    CASE
      WHEN TYPEOF(error_5xx_count) NOT LIKE '%INT%'
      THEN CASE
        WHEN TRY_CAST(error_5xx_count AS DOUBLE) = TRY_CAST(error_5xx_count AS INT)
        THEN TRY_CAST(error_5xx_count AS INT)
      END
      ELSE TRY_CAST(error_5xx_count AS INT)
    END AS error_5xx_count,
    CASE
      WHEN TYPEOF(timeout_count) NOT LIKE '%INT%'
      THEN CASE
        WHEN TRY_CAST(timeout_count AS DOUBLE) = TRY_CAST(timeout_count AS INT)
        THEN TRY_CAST(timeout_count AS INT)
      END
      ELSE TRY_CAST(timeout_count AS INT)
    END AS timeout_count,
    CASE
      WHEN TYPEOF(error_4xx_count) NOT LIKE '%INT%'
      THEN CASE
        WHEN TRY_CAST(error_4xx_count AS DOUBLE) = TRY_CAST(error_4xx_count AS INT)
        THEN TRY_CAST(error_4xx_count AS INT)
      END
      ELSE TRY_CAST(error_4xx_count AS INT)
    END AS error_4xx_count,
    CASE
      WHEN TYPEOF(le_50_count) NOT LIKE '%INT%'
      THEN CASE
        WHEN TRY_CAST(le_50_count AS DOUBLE) = TRY_CAST(le_50_count AS INT)
        THEN TRY_CAST(le_50_count AS INT)
      END
      ELSE TRY_CAST(le_50_count AS INT)
    END AS le_50_count,
    CASE
      WHEN TYPEOF(le_100_count) NOT LIKE '%INT%'
      THEN CASE
        WHEN TRY_CAST(le_100_count AS DOUBLE) = TRY_CAST(le_100_count AS INT)
        THEN TRY_CAST(le_100_count AS INT)
      END
      ELSE TRY_CAST(le_100_count AS INT)
    END AS le_100_count,
    CASE
      WHEN TYPEOF(le_200_count) NOT LIKE '%INT%'
      THEN CASE
        WHEN TRY_CAST(le_200_count AS DOUBLE) = TRY_CAST(le_200_count AS INT)
        THEN TRY_CAST(le_200_count AS INT)
      END
      ELSE TRY_CAST(le_200_count AS INT)
    END AS le_200_count,
    CASE
      WHEN TYPEOF(le_300_count) NOT LIKE '%INT%'
      THEN CASE
        WHEN TRY_CAST(le_300_count AS DOUBLE) = TRY_CAST(le_300_count AS INT)
        THEN TRY_CAST(le_300_count AS INT)
      END
      ELSE TRY_CAST(le_300_count AS INT)
    END AS le_300_count,
    CASE
      WHEN TYPEOF(le_500_count) NOT LIKE '%INT%'
      THEN CASE
        WHEN TRY_CAST(le_500_count AS DOUBLE) = TRY_CAST(le_500_count AS INT)
        THEN TRY_CAST(le_500_count AS INT)
      END
      ELSE TRY_CAST(le_500_count AS INT)
    END AS le_500_count,
    CASE
      WHEN TYPEOF(le_1000_count) NOT LIKE '%INT%'
      THEN CASE
        WHEN TRY_CAST(le_1000_count AS DOUBLE) = TRY_CAST(le_1000_count AS INT)
        THEN TRY_CAST(le_1000_count AS INT)
      END
      ELSE TRY_CAST(le_1000_count AS INT)
    END AS le_1000_count,
    CASE
      WHEN TYPEOF(le_2500_count) NOT LIKE '%INT%'
      THEN CASE
        WHEN TRY_CAST(le_2500_count AS DOUBLE) = TRY_CAST(le_2500_count AS INT)
        THEN TRY_CAST(le_2500_count AS INT)
      END
      ELSE TRY_CAST(le_2500_count AS INT)
    END AS le_2500_count,
    CASE
      WHEN TYPEOF(le_5000_count) NOT LIKE '%INT%'
      THEN CASE
        WHEN TRY_CAST(le_5000_count AS DOUBLE) = TRY_CAST(le_5000_count AS INT)
        THEN TRY_CAST(le_5000_count AS INT)
      END
      ELSE TRY_CAST(le_5000_count AS INT)
    END AS le_5000_count,
    CASE
      WHEN TYPEOF(gt_5000_count) NOT LIKE '%INT%'
      THEN CASE
        WHEN TRY_CAST(gt_5000_count AS DOUBLE) = TRY_CAST(gt_5000_count AS INT)
        THEN TRY_CAST(gt_5000_count AS INT)
      END
      ELSE TRY_CAST(gt_5000_count AS INT)
    END AS gt_5000_count,
    CASE
      WHEN TYPEOF(minute_at) = 'VARCHAR'
      AND REGEXP_MATCHES(CAST(minute_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
      THEN TRY_CAST(CAST(minute_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
      ELSE TRY_CAST(minute_at AS TIMESTAMP)
    END AS minute_at,
    CASE
      WHEN service_id IS NULL
      THEN 'service_id is missing'
      WHEN NOT service_id IS NULL AND TRY_CAST(service_id AS TEXT) IS NULL
      THEN 'service_id is no varchar: ' || CAST(service_id AS TEXT)
      WHEN route IS NULL
      THEN 'route is missing'
      WHEN NOT route IS NULL AND TRY_CAST(route AS TEXT) IS NULL
      THEN 'route is no varchar: ' || CAST(route AS TEXT)
      WHEN minute_at IS NULL
      THEN 'minute_at is missing'
      WHEN NOT minute_at IS NULL
      AND CASE
        WHEN TYPEOF(minute_at) = 'VARCHAR'
        AND REGEXP_MATCHES(CAST(minute_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
        THEN TRY_CAST(CAST(minute_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
        ELSE TRY_CAST(minute_at AS TIMESTAMP)
      END IS NULL
      THEN 'minute_at is no timestamp: ' || CAST(minute_at AS TEXT)
      WHEN request_count IS NULL
      THEN 'request_count is missing'
      WHEN NOT request_count IS NULL
      AND CASE
        WHEN TYPEOF(request_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(request_count AS DOUBLE) = TRY_CAST(request_count AS INT)
          THEN TRY_CAST(request_count AS INT)
        END
        ELSE TRY_CAST(request_count AS INT)
      END IS NULL
      THEN 'request_count is no integer: ' || CAST(request_count AS TEXT)
      WHEN CASE
        WHEN TYPEOF(request_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(request_count AS DOUBLE) = TRY_CAST(request_count AS INT)
          THEN TRY_CAST(request_count AS INT)
        END
        ELSE TRY_CAST(request_count AS INT)
      END < 0
      THEN 'request_count is below 0'
      WHEN error_5xx_count IS NULL
      THEN 'error_5xx_count is missing'
      WHEN NOT error_5xx_count IS NULL
      AND CASE
        WHEN TYPEOF(error_5xx_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(error_5xx_count AS DOUBLE) = TRY_CAST(error_5xx_count AS INT)
          THEN TRY_CAST(error_5xx_count AS INT)
        END
        ELSE TRY_CAST(error_5xx_count AS INT)
      END IS NULL
      THEN 'error_5xx_count is no integer: ' || CAST(error_5xx_count AS TEXT)
      WHEN CASE
        WHEN TYPEOF(error_5xx_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(error_5xx_count AS DOUBLE) = TRY_CAST(error_5xx_count AS INT)
          THEN TRY_CAST(error_5xx_count AS INT)
        END
        ELSE TRY_CAST(error_5xx_count AS INT)
      END < 0
      THEN 'error_5xx_count is below 0'
      WHEN timeout_count IS NULL
      THEN 'timeout_count is missing'
      WHEN NOT timeout_count IS NULL
      AND CASE
        WHEN TYPEOF(timeout_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(timeout_count AS DOUBLE) = TRY_CAST(timeout_count AS INT)
          THEN TRY_CAST(timeout_count AS INT)
        END
        ELSE TRY_CAST(timeout_count AS INT)
      END IS NULL
      THEN 'timeout_count is no integer: ' || CAST(timeout_count AS TEXT)
      WHEN CASE
        WHEN TYPEOF(timeout_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(timeout_count AS DOUBLE) = TRY_CAST(timeout_count AS INT)
          THEN TRY_CAST(timeout_count AS INT)
        END
        ELSE TRY_CAST(timeout_count AS INT)
      END < 0
      THEN 'timeout_count is below 0'
      WHEN error_4xx_count IS NULL
      THEN 'error_4xx_count is missing'
      WHEN NOT error_4xx_count IS NULL
      AND CASE
        WHEN TYPEOF(error_4xx_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(error_4xx_count AS DOUBLE) = TRY_CAST(error_4xx_count AS INT)
          THEN TRY_CAST(error_4xx_count AS INT)
        END
        ELSE TRY_CAST(error_4xx_count AS INT)
      END IS NULL
      THEN 'error_4xx_count is no integer: ' || CAST(error_4xx_count AS TEXT)
      WHEN CASE
        WHEN TYPEOF(error_4xx_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(error_4xx_count AS DOUBLE) = TRY_CAST(error_4xx_count AS INT)
          THEN TRY_CAST(error_4xx_count AS INT)
        END
        ELSE TRY_CAST(error_4xx_count AS INT)
      END < 0
      THEN 'error_4xx_count is below 0'
      WHEN NOT le_50_count IS NULL
      AND CASE
        WHEN TYPEOF(le_50_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(le_50_count AS DOUBLE) = TRY_CAST(le_50_count AS INT)
          THEN TRY_CAST(le_50_count AS INT)
        END
        ELSE TRY_CAST(le_50_count AS INT)
      END IS NULL
      THEN 'le_50_count is no integer: ' || CAST(le_50_count AS TEXT)
      WHEN CASE
        WHEN TYPEOF(le_50_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(le_50_count AS DOUBLE) = TRY_CAST(le_50_count AS INT)
          THEN TRY_CAST(le_50_count AS INT)
        END
        ELSE TRY_CAST(le_50_count AS INT)
      END < 0
      THEN 'le_50_count is below 0'
      WHEN NOT le_100_count IS NULL
      AND CASE
        WHEN TYPEOF(le_100_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(le_100_count AS DOUBLE) = TRY_CAST(le_100_count AS INT)
          THEN TRY_CAST(le_100_count AS INT)
        END
        ELSE TRY_CAST(le_100_count AS INT)
      END IS NULL
      THEN 'le_100_count is no integer: ' || CAST(le_100_count AS TEXT)
      WHEN CASE
        WHEN TYPEOF(le_100_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(le_100_count AS DOUBLE) = TRY_CAST(le_100_count AS INT)
          THEN TRY_CAST(le_100_count AS INT)
        END
        ELSE TRY_CAST(le_100_count AS INT)
      END < 0
      THEN 'le_100_count is below 0'
      WHEN NOT le_200_count IS NULL
      AND CASE
        WHEN TYPEOF(le_200_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(le_200_count AS DOUBLE) = TRY_CAST(le_200_count AS INT)
          THEN TRY_CAST(le_200_count AS INT)
        END
        ELSE TRY_CAST(le_200_count AS INT)
      END IS NULL
      THEN 'le_200_count is no integer: ' || CAST(le_200_count AS TEXT)
      WHEN CASE
        WHEN TYPEOF(le_200_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(le_200_count AS DOUBLE) = TRY_CAST(le_200_count AS INT)
          THEN TRY_CAST(le_200_count AS INT)
        END
        ELSE TRY_CAST(le_200_count AS INT)
      END < 0
      THEN 'le_200_count is below 0'
      WHEN NOT le_300_count IS NULL
      AND CASE
        WHEN TYPEOF(le_300_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(le_300_count AS DOUBLE) = TRY_CAST(le_300_count AS INT)
          THEN TRY_CAST(le_300_count AS INT)
        END
        ELSE TRY_CAST(le_300_count AS INT)
      END IS NULL
      THEN 'le_300_count is no integer: ' || CAST(le_300_count AS TEXT)
      WHEN CASE
        WHEN TYPEOF(le_300_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(le_300_count AS DOUBLE) = TRY_CAST(le_300_count AS INT)
          THEN TRY_CAST(le_300_count AS INT)
        END
        ELSE TRY_CAST(le_300_count AS INT)
      END < 0
      THEN 'le_300_count is below 0'
      WHEN NOT le_500_count IS NULL
      AND CASE
        WHEN TYPEOF(le_500_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(le_500_count AS DOUBLE) = TRY_CAST(le_500_count AS INT)
          THEN TRY_CAST(le_500_count AS INT)
        END
        ELSE TRY_CAST(le_500_count AS INT)
      END IS NULL
      THEN 'le_500_count is no integer: ' || CAST(le_500_count AS TEXT)
      WHEN CASE
        WHEN TYPEOF(le_500_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(le_500_count AS DOUBLE) = TRY_CAST(le_500_count AS INT)
          THEN TRY_CAST(le_500_count AS INT)
        END
        ELSE TRY_CAST(le_500_count AS INT)
      END < 0
      THEN 'le_500_count is below 0'
      WHEN NOT le_1000_count IS NULL
      AND CASE
        WHEN TYPEOF(le_1000_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(le_1000_count AS DOUBLE) = TRY_CAST(le_1000_count AS INT)
          THEN TRY_CAST(le_1000_count AS INT)
        END
        ELSE TRY_CAST(le_1000_count AS INT)
      END IS NULL
      THEN 'le_1000_count is no integer: ' || CAST(le_1000_count AS TEXT)
      WHEN CASE
        WHEN TYPEOF(le_1000_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(le_1000_count AS DOUBLE) = TRY_CAST(le_1000_count AS INT)
          THEN TRY_CAST(le_1000_count AS INT)
        END
        ELSE TRY_CAST(le_1000_count AS INT)
      END < 0
      THEN 'le_1000_count is below 0'
      WHEN NOT le_2500_count IS NULL
      AND CASE
        WHEN TYPEOF(le_2500_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(le_2500_count AS DOUBLE) = TRY_CAST(le_2500_count AS INT)
          THEN TRY_CAST(le_2500_count AS INT)
        END
        ELSE TRY_CAST(le_2500_count AS INT)
      END IS NULL
      THEN 'le_2500_count is no integer: ' || CAST(le_2500_count AS TEXT)
      WHEN CASE
        WHEN TYPEOF(le_2500_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(le_2500_count AS DOUBLE) = TRY_CAST(le_2500_count AS INT)
          THEN TRY_CAST(le_2500_count AS INT)
        END
        ELSE TRY_CAST(le_2500_count AS INT)
      END < 0
      THEN 'le_2500_count is below 0'
      WHEN NOT le_5000_count IS NULL
      AND CASE
        WHEN TYPEOF(le_5000_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(le_5000_count AS DOUBLE) = TRY_CAST(le_5000_count AS INT)
          THEN TRY_CAST(le_5000_count AS INT)
        END
        ELSE TRY_CAST(le_5000_count AS INT)
      END IS NULL
      THEN 'le_5000_count is no integer: ' || CAST(le_5000_count AS TEXT)
      WHEN CASE
        WHEN TYPEOF(le_5000_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(le_5000_count AS DOUBLE) = TRY_CAST(le_5000_count AS INT)
          THEN TRY_CAST(le_5000_count AS INT)
        END
        ELSE TRY_CAST(le_5000_count AS INT)
      END < 0
      THEN 'le_5000_count is below 0'
      WHEN NOT gt_5000_count IS NULL
      AND CASE
        WHEN TYPEOF(gt_5000_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(gt_5000_count AS DOUBLE) = TRY_CAST(gt_5000_count AS INT)
          THEN TRY_CAST(gt_5000_count AS INT)
        END
        ELSE TRY_CAST(gt_5000_count AS INT)
      END IS NULL
      THEN 'gt_5000_count is no integer: ' || CAST(gt_5000_count AS TEXT)
      WHEN CASE
        WHEN TYPEOF(gt_5000_count) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(gt_5000_count AS DOUBLE) = TRY_CAST(gt_5000_count AS INT)
          THEN TRY_CAST(gt_5000_count AS INT)
        END
        ELSE TRY_CAST(gt_5000_count AS INT)
      END < 0
      THEN 'gt_5000_count is below 0'
    END AS fault
  FROM source
)
SELECT
  *
FROM renamed
