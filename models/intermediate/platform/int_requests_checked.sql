{#- Bounds of the buckets are those of the contract; every count is on `marked`, the staged row. -#}
{%- set buckets = [
    'le_50_count', 'le_100_count', 'le_200_count', 'le_300_count', 'le_500_count',
    'le_1000_count', 'le_2500_count', 'le_5000_count', 'gt_5000_count',
] -%}
{#- Added wide: no raw row can stop the build by overflow. -#}
{%- set in_buckets = 'cast(marked.' ~ buckets | join(' as bigint) + cast(marked.') ~ ' as bigint)' -%}

{#- A sum with a null is null: it says in one test whether every bucket is known. -#}
{{ cadran.checked_rows(
    ref('stg_telemetry__requests'),
    key=['service_id', 'route', 'minute_at'],
    order_by=['request_count', 'error_5xx_count', 'timeout_count', 'error_4xx_count'] + buckets,
    references=[('service_id', (cadran.accepted_rows(ref('int_services_checked')), 'service_id'))],
    rules=[
        (
            "marked.minute_at <> " ~ dbt.date_trunc('minute', 'marked.minute_at'),
            "minute_at is not the first instant of a minute",
        ),
        (
            "cast(marked.error_5xx_count as bigint) + marked.timeout_count > marked.request_count",
            "more 5xx and timeouts than requests",
        ),
        (
            "cast(marked.error_5xx_count as bigint) + marked.error_4xx_count > marked.request_count",
            "more 5xx and 4xx than requests",
        ),
        (
            "(" ~ in_buckets ~ ") is null and coalesce(marked."
            ~ buckets | join(", marked.") ~ ") is not null",
            "some latency buckets are missing",
        ),
        (
            in_buckets ~ " <> marked.request_count",
            "the latency buckets do not add up to request_count",
        ),
    ],
) }}
