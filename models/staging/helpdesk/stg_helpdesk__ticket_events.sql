with

source as (
    select * from {{ cadran.source_rows('helpdesk', 'ticket_events') }}
),

renamed as (
    select
        ---------- ids
        {{ cadran.safe_cast('event_id', 'varchar') }} as event_id,
        {{ cadran.safe_cast('ticket_id', 'varchar') }} as ticket_id,

        ---------- text
        {{ cadran.safe_cast('event_type', 'varchar') }} as event_type,

        ---------- times
        {{ cadran.safe_cast('occurred_at', 'timestamp') }} as occurred_at,

        ---------- contract
        {{ cadran.contract_fault('helpdesk', 'ticket_events') }} as fault
    from source
)

select * from renamed
