{#- Thirteen months of minutes are not read again each hour: rows are appended, and a run takes
    anew the last hours, in which rows may still arrive or change. -#}
{{
    config(
        materialized='incremental',
        incremental_strategy='replace_from',
        event_time='minute_at',
        on_schema_change='fail',
    )
}}

with

requests as (
    select * from {{ ref('int_requests_checked') }}
    where
        rejection_reason is null
        {{ "and minute_at >= " ~ cadran.read_again_from(this, 'minute_at') if is_incremental() }}
)

select
    service_id,
    route,
    minute_at,
    request_count,
    error_5xx_count,
    timeout_count,
    error_4xx_count,
    le_50_count,
    le_100_count,
    le_200_count,
    le_300_count,
    le_500_count,
    le_1000_count,
    le_2500_count,
    le_5000_count,
    gt_5000_count,
    error_5xx_count + timeout_count as failed_request_count,
    request_count - error_5xx_count - timeout_count as good_request_count,
    le_50_count + le_100_count + le_200_count + le_300_count as fast_request_count,
    case when gt_5000_count is not null then request_count end as timed_request_count
from requests
{# A question about some hours then reads some blocks, not all. -#}
order by minute_at
