select * from {{ ref('int_request_lines_checked') }}
where rejection_reason is not null
