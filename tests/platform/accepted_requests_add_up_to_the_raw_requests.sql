{#- Requests are neither lost nor doubled on the way: what the mart counts and what was rejected
    is what the raw rows count, but for those that may have landed while they were read. -#}
with

totals as (
    select
        (
            select sum(request_count) from {{ ref('stg_telemetry__requests') }}
            where {{ cadran.has_settled('minute_at') }}
        ) as raw_requests,
        (
            select coalesce(sum(request_count), 0) from {{ ref('fct_requests_minutely') }}
            where {{ cadran.has_settled('minute_at') }}
        ) as accepted_requests,
        (
            select coalesce(sum(request_count), 0) from {{ ref('rejected_requests') }}
            where {{ cadran.has_settled('minute_at') }}
        ) as rejected_requests
)

select * from totals
where raw_requests <> accepted_requests + rejected_requests
