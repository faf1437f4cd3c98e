with

source as (
    select * from {{ cadran.source_rows('shop', 'order_lines') }}
),

renamed as (
    select
        ---------- ids
        {{ cadran.safe_cast('order_line_id', 'varchar') }} as order_line_id,
        {{ cadran.safe_cast('order_id', 'varchar') }} as order_id,
        {{ cadran.safe_cast('product_id', 'varchar') }} as product_id,

        ---------- text
        {{ cadran.safe_cast('line_type', 'varchar') }} as line_type,

        ---------- numbers
        {{ cadran.safe_cast('quantity', 'integer') }} as quantity,
        {{ cadran.safe_cast('unit_price', 'decimal(18, 2)') }} as unit_price,
        {{ cadran.safe_cast('amount', 'decimal(18, 2)') }} as amount,

        ---------- times
        {{ cadran.safe_cast('booked_at', 'timestamp') }} as booked_at,

        ---------- contract
        {{ cadran.contract_fault('shop', 'order_lines') }} as fault
    from source
)

select * from renamed
