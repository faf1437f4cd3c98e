select * from {{ ref('stg_invoices__lines') }}
where rejection_reason is not null
