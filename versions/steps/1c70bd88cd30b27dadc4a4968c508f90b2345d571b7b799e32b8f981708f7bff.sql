WITH source AS (
  SELECT
    *
  FROM "source"."helpdesk"."tickets" AS "tickets"
), renamed AS (
  SELECT
    TRY_CAST(ticket_id AS TEXT) AS ticket_id,
    TRY_CAST(customer_id AS TEXT) AS customer_id,
    TRY_CAST(team AS TEXT) AS team,
    TRY_CAST(priority AS TEXT) AS priority,
    TRY_CAST(topic AS TEXT) AS topic,
    CASE
      WHEN TYPEOF(opened_at) = 'VARCHAR'
      AND REGEXP_MATCHES(CAST(opened_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
      THEN TRY_CAST(CAST(opened_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
      ELSE TRY_CAST(opened_at AS TIMESTAMP)
    END AS opened_at,
    CASE
      WHEN ticket_id IS NULL
      THEN 'ticket_id is missing'
      WHEN NOT ticket_id IS NULL AND TRY_CAST(ticket_id AS TEXT) IS NULL
      THEN 'ticket_id is no varchar: ' || CAST(ticket_id AS TEXT)
      WHEN NOT customer_id IS NULL AND TRY_CAST(customer_id AS TEXT) IS NULL
      THEN 'customer_id is no varchar: ' || CAST(customer_id AS TEXT)
      WHEN team IS NULL
      THEN 'team is missing'
      WHEN NOT team IS NULL AND TRY_CAST(team AS TEXT) IS NULL
      THEN 'team is no varchar: ' || CAST(team AS TEXT)
      WHEN priority IS NULL
      THEN 'priority is missing'
      WHEN NOT priority IS NULL AND TRY_CAST(priority AS TEXT) IS NULL
      THEN 'priority is no varchar: ' || CAST(priority AS TEXT)
      WHEN NOT TRY_CAST(priority AS TEXT) IN ('urgent', 'high', 'normal', 'low')
      THEN 'priority is none of urgent, high, normal, low'
      WHEN topic IS NULL
      THEN 'topic is missing'
      WHEN NOT topic IS NULL AND TRY_CAST(topic AS TEXT) IS NULL
      THEN 'topic is no varchar: ' || CAST(topic AS TEXT)
      WHEN opened_at IS NULL
      THEN 'opened_at is missing'
      WHEN NOT opened_at IS NULL
      AND CASE
        WHEN TYPEOF(opened_at) = 'VARCHAR'
        AND REGEXP_MATCHES(CAST(opened_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
        THEN TRY_CAST(CAST(opened_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
        ELSE TRY_CAST(opened_at AS TIMESTAMP)
      END IS NULL
      THEN 'opened_at is no timestamp: ' || CAST(opened_at AS TEXT)
    END AS fault
  FROM source
)
SELECT
  *
FROM renamed
