with

source as (
    select * from {{ cadran.source_rows('shop', 'sessions') }}
),

renamed as (
    select
        ---------- ids
        {{ cadran.safe_cast('session_id', 'varchar') }} as session_id,
        {{ cadran.safe_cast('visitor_id', 'varchar') }} as visitor_id,
        {{ cadran.safe_cast('customer_id', 'varchar') }} as customer_id,

        ---------- text
        {{ cadran.safe_cast('channel', 'varchar') }} as channel,
        {{ cadran.safe_cast('device', 'varchar') }} as device,
        {{ cadran.safe_cast('country', 'varchar') }} as country,

        ---------- times
        {{ cadran.safe_cast('started_at', 'timestamp') }} as started_at,

        ---------- contract
        {{ cadran.contract_fault('shop', 'sessions') }} as fault
    from source
)

select * from renamed
