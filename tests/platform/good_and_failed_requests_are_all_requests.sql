{#- Every request is either good or failed, and the nine buckets hold all timed requests. -#}
select
    service_id,
    route,
    minute_at
from {{ ref('fct_requests_minutely') }}
where
    good_request_count + failed_request_count <> request_count
    or good_request_count < 0
    or fast_request_count + le_500_count + le_1000_count + le_2500_count + le_5000_count
    + gt_5000_count <> timed_request_count
