with

source as (
    select * from {{ source('invoices', 'lines') }}
),

renamed as (
    select
        ---------- ids
        nullif(trim(cast(InvoiceNo as varchar)), '') as invoice_id,
        nullif(trim(cast(StockCode as varchar)), '') as stock_code,
        -- The file holds the number as a float: 17850.0.
        try_cast(try_cast(CustomerID as double) as bigint) as customer_number,

        ---------- text
        nullif(trim(cast(Country as varchar)), '') as country,

        ---------- numbers
        try_cast(Quantity as integer) as quantity,
        try_cast(UnitPrice as decimal(18, 3)) as unit_price,

        ---------- times
        try_cast(InvoiceDate as timestamp) as invoiced_at,

        ---------- what the contract is checked on
        try_cast(Quantity as double) as raw_quantity,
        try_cast(UnitPrice as double) as raw_unit_price
    from source
)

select
    invoice_id,
    stock_code,
    customer_number,
    country,
    quantity,
    unit_price,
    invoiced_at,
    case
        when invoice_id is null then 'InvoiceNo is missing'
        when invoiced_at is null then 'InvoiceDate is missing or no time'
        when quantity is null then 'Quantity is missing or no number'
        when quantity <> raw_quantity then 'Quantity is no whole number'
        when unit_price is null then 'UnitPrice is missing or no number'
        when abs(unit_price - raw_unit_price) > 0.000001
            then 'UnitPrice has more than three decimals'
        when country is null then 'Country is missing'
    end as rejection_reason
from renamed
