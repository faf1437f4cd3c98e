-- No line of the file is lost: each is either in the mart or among the rejected ones.
select
    (select count(*) from {{ source('invoices', 'lines') }}) as raw,
    (select count(*) from {{ ref('fct_invoice_lines') }}) as accepted,
    (select count(*) from {{ ref('rejected_lines') }}) as rejected
where raw <> accepted + rejected
