with

source as (
    select * from {{ cadran.source_rows('shop', 'customers') }}
),

renamed as (
    select
        ---------- ids
        {{ cadran.safe_cast('customer_id', 'varchar') }} as customer_id,

        ---------- text
        {{ cadran.safe_cast('country', 'varchar') }} as country,
        {{ cadran.safe_cast('segment', 'varchar') }} as segment,

        ---------- times
        {{ cadran.safe_cast('signed_up_at', 'timestamp') }} as signed_up_at,

        ---------- contract
        {{ cadran.contract_fault('shop', 'customers') }} as fault
    from source
)

select * from renamed
