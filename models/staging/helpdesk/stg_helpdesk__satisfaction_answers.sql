with

source as (
    select * from {{ cadran.source_rows('helpdesk', 'satisfaction_answers') }}
),

renamed as (
    select
        ---------- ids
        {{ cadran.safe_cast('answer_id', 'varchar') }} as answer_id,
        {{ cadran.safe_cast('customer_id', 'varchar') }} as customer_id,
        {{ cadran.safe_cast('ticket_id', 'varchar') }} as ticket_id,

        ---------- text
        {{ cadran.safe_cast('touchpoint', 'varchar') }} as touchpoint,

        ---------- numbers
        {{ cadran.safe_cast('score', 'integer') }} as score,

        ---------- times
        {{ cadran.safe_cast('answered_at', 'timestamp') }} as answered_at,

        ---------- contract
        {{ cadran.contract_fault('helpdesk', 'satisfaction_answers') }} as fault
    from source
)

select * from renamed
