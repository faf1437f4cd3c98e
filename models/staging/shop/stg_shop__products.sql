with

source as (
    select * from {{ cadran.source_rows('shop', 'products') }}
),

renamed as (
    select
        ---------- ids
        {{ cadran.safe_cast('product_id', 'varchar') }} as product_id,

        ---------- text
        {{ cadran.safe_cast('product_name', 'varchar') }} as product_name,
        {{ cadran.safe_cast('category', 'varchar') }} as category,

        ---------- numbers
        {{ cadran.safe_cast('unit_cost', 'decimal(18, 2)') }} as unit_cost,
        {{ cadran.safe_cast('list_price', 'decimal(18, 2)') }} as list_price,

        ---------- contract
        {{ cadran.contract_fault('shop', 'products') }} as fault
    from source
)

select * from renamed
