WITH changes AS (
  SELECT
    *
  FROM "cadran____int_ticket_backlog_changes" AS "int_ticket_backlog_changes"
), events AS (
  SELECT
    *
  FROM "cadran____fct_ticket_events" AS "fct_ticket_events"
), dates AS (
  SELECT
    moved_date AS event_date
  FROM changes
  UNION ALL
  SELECT
    occurred_date AS event_date
  FROM events
), days AS (
  SELECT
    UNNEST(
      GENERATE_SERIES(
        (
          SELECT
            CAST(MIN(event_date) AS TIMESTAMP)
          FROM dates
        ),
        (
          SELECT
            CAST(MAX(event_date) AS TIMESTAMP)
          FROM dates
        ),
        INTERVAL '1' DAY
      )
    ) AS instant
), teams AS (
  SELECT DISTINCT
    team
  FROM changes
), priorities AS (
  SELECT DISTINCT
    priority
  FROM changes
), grid AS (
  SELECT
    CAST(days.instant AS DATE) AS snapshot_date,
    teams.team,
    priorities.priority
  FROM days
  CROSS JOIN teams
  CROSS JOIN priorities
), counted AS (
  SELECT
    grid.snapshot_date,
    grid.team,
    grid.priority,
    SUM(COALESCE(changes.change, 0)) OVER (
      PARTITION BY grid.team, grid.priority
      ORDER BY grid.snapshot_date
      rows BETWEEN UNBOUNDED preceding AND CURRENT ROW
    ) AS open_ticket_count
  FROM grid
  LEFT JOIN changes
    ON grid.snapshot_date = changes.moved_date
    AND grid.team = changes.team
    AND grid.priority = changes.priority
)
SELECT
  CAST(snapshot_date AS TEXT) || '|' || team || '|' || priority AS backlog_entry_id,
  snapshot_date,
  team,
  priority,
  CAST(open_ticket_count AS INT) AS open_ticket_count
FROM counted
