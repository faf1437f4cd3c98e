{#- A table, since three models read it, two of them through views of their own. -#}
{{ config(materialized='table') }}

with

events as (
    select * from {{ ref('int_ticket_events_checked') }}
    where rejection_reason is null
)

select
    event_id,
    ticket_id,
    event_type,
    occurred_at,
    {{ cadran.business_date('occurred_at') }} as occurred_date
from events
