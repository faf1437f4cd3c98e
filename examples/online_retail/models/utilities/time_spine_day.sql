with

bounds as (
    select
        min(invoiced_date) as first_date,
        max(invoiced_date) as last_date
    from {{ ref('fct_invoice_lines') }}
)

select cast(unnest(generate_series(first_date, last_date, interval 1 day)) as date) as date_day
from bounds
