-- What the mart and the rejected lines hold together is worth what the file holds, to the penny.
with

raw_lines as (
    select sum(try_cast(Quantity as integer) * try_cast(UnitPrice as decimal(18, 3))) as amount
    from {{ source('invoices', 'lines') }}
),

kept as (
    select sum(amount) as amount from {{ ref('fct_invoice_lines') }}
),

set_aside as (
    select coalesce(sum(quantity * unit_price), 0) as amount from {{ ref('rejected_lines') }}
)

select
    raw_lines.amount as raw_amount,
    kept.amount as kept_amount,
    set_aside.amount as set_aside_amount
from raw_lines
cross join kept
cross join set_aside
where raw_lines.amount <> kept.amount + set_aside.amount
