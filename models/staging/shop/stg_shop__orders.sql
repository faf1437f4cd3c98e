with

source as (
    select * from {{ cadran.source_rows('shop', 'orders') }}
),

renamed as (
    select
        ---------- ids
        {{ cadran.safe_cast('order_id', 'varchar') }} as order_id,
        {{ cadran.safe_cast('customer_id', 'varchar') }} as customer_id,
        {{ cadran.safe_cast('session_id', 'varchar') }} as session_id,

        ---------- text
        {{ cadran.safe_cast('channel', 'varchar') }} as channel,
        {{ cadran.safe_cast('country', 'varchar') }} as country,
        {{ cadran.safe_cast('currency', 'varchar') }} as currency,
        {{ cadran.safe_cast('status', 'varchar') }} as status,

        ---------- numbers
        {{ cadran.safe_cast('amount', 'decimal(18, 2)') }} as amount,

        ---------- times
        {{ cadran.safe_cast('ordered_at', 'timestamp') }} as ordered_at,

        ---------- contract
        {{ cadran.contract_fault('shop', 'orders') }} as fault
    from source
)

select * from renamed
