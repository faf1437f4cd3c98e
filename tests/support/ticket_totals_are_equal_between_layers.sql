-- No ticket is lost or doubled on the way: the mart holds as many tickets, first replies and first
-- resolutions as the accepted events name.
with

events as (
    select
        count(distinct case when event_type = 'replied' then ticket_id end) as replied_count,
        count(distinct case when event_type = 'resolved' then ticket_id end) as resolved_count
    from {{ ref('fct_ticket_events') }}
),

accepted as (
    select count(distinct ticket_id) as ticket_count
    from {{ ref('int_tickets_checked') }}
    where rejection_reason is null
),

tickets as (
    select
        count(*) as ticket_count,
        count(first_reply_at) as replied_count,
        count(first_resolved_at) as resolved_count
    from {{ ref('fct_tickets') }}
)

select
    tickets.ticket_count,
    tickets.replied_count,
    tickets.resolved_count
from tickets
cross join accepted
cross join events
where
    tickets.ticket_count <> accepted.ticket_count
    or tickets.replied_count <> events.replied_count
    or tickets.resolved_count <> events.resolved_count
