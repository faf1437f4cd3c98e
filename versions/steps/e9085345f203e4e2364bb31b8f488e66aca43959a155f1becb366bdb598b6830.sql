WITH source AS (
  SELECT
    *
  FROM "source"."helpdesk"."satisfaction_answers" AS "satisfaction_answers"
), renamed AS (
  SELECT
    TRY_CAST(answer_id AS TEXT) AS answer_id,
    TRY_CAST(customer_id AS TEXT) AS customer_id,
    TRY_CAST(ticket_id AS TEXT) AS ticket_id,
    TRY_CAST(touchpoint AS TEXT) AS touchpoint,
    CASE
      WHEN TYPEOF(score) NOT LIKE '%INT%'
      THEN CASE
        WHEN TRY_CAST(score AS DOUBLE) = TRY_CAST(score AS INT)
        THEN TRY_CAST(score AS INT)
      END
      ELSE TRY_CAST(score AS INT)
    END AS score,
    CASE
      WHEN TYPEOF(answered_at) = 'VARCHAR'
      AND REGEXP_MATCHES(CAST(answered_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
      THEN TRY_CAST(CAST(answered_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
      ELSE TRY_CAST(answered_at AS TIMESTAMP)
    END AS answered_at,
    CASE
      WHEN answer_id IS NULL
      THEN 'answer_id is missing'
      WHEN NOT answer_id IS NULL AND TRY_CAST(answer_id AS TEXT) IS NULL
      THEN 'answer_id is no varchar: ' || CAST(answer_id AS TEXT)
      WHEN NOT customer_id IS NULL AND TRY_CAST(customer_id AS TEXT) IS NULL
      THEN 'customer_id is no varchar: ' || CAST(customer_id AS TEXT)
      WHEN NOT ticket_id IS NULL AND TRY_CAST(ticket_id AS TEXT) IS NULL
      THEN 'ticket_id is no varchar: ' || CAST(ticket_id AS TEXT)
      WHEN touchpoint IS NULL
      THEN 'touchpoint is missing'
      WHEN NOT touchpoint IS NULL AND TRY_CAST(touchpoint AS TEXT) IS NULL
      THEN 'touchpoint is no varchar: ' || CAST(touchpoint AS TEXT)
      WHEN NOT TRY_CAST(touchpoint AS TEXT) IN ('purchase', 'support')
      THEN 'touchpoint is none of purchase, support'
      WHEN score IS NULL
      THEN 'score is missing'
      WHEN NOT score IS NULL
      AND CASE
        WHEN TYPEOF(score) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(score AS DOUBLE) = TRY_CAST(score AS INT)
          THEN TRY_CAST(score AS INT)
        END
        ELSE TRY_CAST(score AS INT)
      END IS NULL
      THEN 'score is no integer: ' || CAST(score AS TEXT)
      WHEN CASE
        WHEN TYPEOF(score) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(score AS DOUBLE) = TRY_CAST(score AS INT)
          THEN TRY_CAST(score AS INT)
        END
        ELSE TRY_CAST(score AS INT)
      END < 1
      THEN 'score is below 1'
      WHEN CASE
        WHEN TYPEOF(score) NOT LIKE '%INT%'
        THEN CASE
          WHEN TRY_CAST(score AS DOUBLE) = TRY_CAST(score AS INT)
          THEN TRY_CAST(score AS INT)
        END
        ELSE TRY_CAST(score AS INT)
      END > 5
      THEN 'score is above 5'
      WHEN answered_at IS NULL
      THEN 'answered_at is missing'
      WHEN NOT answered_at IS NULL
      AND CASE
        WHEN TYPEOF(answered_at) = 'VARCHAR'
        AND REGEXP_MATCHES(CAST(answered_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
        THEN TRY_CAST(CAST(answered_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
        ELSE TRY_CAST(answered_at AS TIMESTAMP)
      END IS NULL
      THEN 'answered_at is no timestamp: ' || CAST(answered_at AS TEXT)
    END AS fault
  FROM source
)
SELECT
  *
FROM renamed
