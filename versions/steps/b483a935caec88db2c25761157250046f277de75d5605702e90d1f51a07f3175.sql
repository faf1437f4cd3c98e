WITH source AS (
  SELECT
    *
  FROM "source"."helpdesk"."ticket_events" AS "ticket_events"
), renamed AS (
  SELECT
    TRY_CAST(event_id AS TEXT) AS event_id,
    TRY_CAST(ticket_id AS TEXT) AS ticket_id,
    TRY_CAST(event_type AS TEXT) AS event_type,
    CASE
      WHEN TYPEOF(occurred_at) = 'VARCHAR'
      AND REGEXP_MATCHES(CAST(occurred_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
      THEN TRY_CAST(CAST(occurred_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
      ELSE TRY_CAST(occurred_at AS TIMESTAMP)
    END AS occurred_at,
    CASE
      WHEN event_id IS NULL
      THEN 'event_id is missing'
      WHEN NOT event_id IS NULL AND TRY_CAST(event_id AS TEXT) IS NULL
      THEN 'event_id is no varchar: ' || CAST(event_id AS TEXT)
      WHEN ticket_id IS NULL
      THEN 'ticket_id is missing'
      WHEN NOT ticket_id IS NULL AND TRY_CAST(ticket_id AS TEXT) IS NULL
      THEN 'ticket_id is no varchar: ' || CAST(ticket_id AS TEXT)
      WHEN event_type IS NULL
      THEN 'event_type is missing'
      WHEN NOT event_type IS NULL AND TRY_CAST(event_type AS TEXT) IS NULL
      THEN 'event_type is no varchar: ' || CAST(event_type AS TEXT)
      WHEN NOT TRY_CAST(event_type AS TEXT) IN ('opened', 'replied', 'resolved', 'reopened')
      THEN 'event_type is none of opened, replied, resolved, reopened'
      WHEN occurred_at IS NULL
      THEN 'occurred_at is missing'
      WHEN NOT occurred_at IS NULL
      AND CASE
        WHEN TYPEOF(occurred_at) = 'VARCHAR'
        AND REGEXP_MATCHES(CAST(occurred_at AS TEXT), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])')
        THEN TRY_CAST(CAST(occurred_at AS TEXT) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
        ELSE TRY_CAST(occurred_at AS TIMESTAMP)
      END IS NULL
      THEN 'occurred_at is no timestamp: ' || CAST(occurred_at AS TEXT)
    END AS fault
  FROM source
)
SELECT
  *
FROM renamed
