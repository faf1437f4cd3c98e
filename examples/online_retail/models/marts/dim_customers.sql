with

lines as (
    select * from {{ ref('fct_invoice_lines') }}
)

select distinct
    customer_id,
    customer_number,
    country
from lines
