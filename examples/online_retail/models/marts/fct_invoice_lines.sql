with

lines as (
    select * from {{ ref('stg_invoices__lines') }}
)

select
    row_number() over (
        order by invoiced_at, invoice_id, stock_code, quantity, unit_price
    ) as invoice_line_id,
    invoice_id,
    stock_code,
    customer_number,
    coalesce(cast(customer_number as varchar), 'unknown') || ' in ' || country as customer_id,
    country,
    quantity,
    unit_price,
    quantity * unit_price as amount,
    invoiced_at,
    cast(invoiced_at as date) as invoiced_date
from lines
where rejection_reason is null
