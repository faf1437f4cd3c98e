select * from {{ ref('int_probes_checked') }}
where rejection_reason is not null
