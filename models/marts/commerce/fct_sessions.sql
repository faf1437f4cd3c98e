with

sessions as (
    select * from {{ ref('int_sessions_checked') }}
    where rejection_reason is null
)

select
    session_id,
    visitor_id,
    customer_id,
    channel,
    device,
    country,
    started_at,
    {{ cadran.business_date('started_at') }} as session_date
from sessions
