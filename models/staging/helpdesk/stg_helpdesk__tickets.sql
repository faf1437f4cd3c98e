with

source as (
    select * from {{ cadran.source_rows('helpdesk', 'tickets') }}
),

renamed as (
    select
        ---------- ids
        {{ cadran.safe_cast('ticket_id', 'varchar') }} as ticket_id,
        {{ cadran.safe_cast('customer_id', 'varchar') }} as customer_id,

        ---------- text
        {{ cadran.safe_cast('team', 'varchar') }} as team,
        {{ cadran.safe_cast('priority', 'varchar') }} as priority,
        {{ cadran.safe_cast('topic', 'varchar') }} as topic,

        ---------- times
        {{ cadran.safe_cast('opened_at', 'timestamp') }} as opened_at,

        ---------- contract
        {{ cadran.contract_fault('helpdesk', 'tickets') }} as fault
    from source
)

select * from renamed
