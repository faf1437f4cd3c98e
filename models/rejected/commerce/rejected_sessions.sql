select * from {{ ref('int_sessions_checked') }}
where rejection_reason is not null
