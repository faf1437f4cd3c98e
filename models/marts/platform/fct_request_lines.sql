with

request_lines as (
    select * from {{ ref('int_request_lines_checked') }}
    where rejection_reason is null
)

select
    request_id,
    service_id,
    route,
    received_at,
    {{ dbt.date_trunc('minute', 'received_at') }} as minute_at,
    method,
    status,
    duration_ms,
    is_timeout,
    status >= 500 and not is_timeout as is_error_5xx,
    status between 400 and 499 and not is_timeout as is_error_4xx
from request_lines
