with

source as (
    select * from {{ cadran.source_rows('telemetry', 'requests') }}
),

renamed as (
    select
        ---------- ids
        {{ cadran.safe_cast('service_id', 'varchar') }} as service_id,

        ---------- text
        {{ cadran.safe_cast('route', 'varchar') }} as route,

        ---------- numbers: wide enough for sums of what the contract lets in
        cast({{ cadran.safe_cast('request_count', 'integer') }} as bigint) as request_count,
        cast({{ cadran.safe_cast('error_5xx_count', 'integer') }} as bigint) as error_5xx_count,
        cast({{ cadran.safe_cast('timeout_count', 'integer') }} as bigint) as timeout_count,
        cast({{ cadran.safe_cast('error_4xx_count', 'integer') }} as bigint) as error_4xx_count,
        cast({{ cadran.safe_cast('le_50_count', 'integer') }} as bigint) as le_50_count,
        cast({{ cadran.safe_cast('le_100_count', 'integer') }} as bigint) as le_100_count,
        cast({{ cadran.safe_cast('le_200_count', 'integer') }} as bigint) as le_200_count,
        cast({{ cadran.safe_cast('le_300_count', 'integer') }} as bigint) as le_300_count,
        cast({{ cadran.safe_cast('le_500_count', 'integer') }} as bigint) as le_500_count,
        cast({{ cadran.safe_cast('le_1000_count', 'integer') }} as bigint) as le_1000_count,
        cast({{ cadran.safe_cast('le_2500_count', 'integer') }} as bigint) as le_2500_count,
        cast({{ cadran.safe_cast('le_5000_count', 'integer') }} as bigint) as le_5000_count,
        cast({{ cadran.safe_cast('gt_5000_count', 'integer') }} as bigint) as gt_5000_count,

        ---------- times
        {{ cadran.safe_cast('minute_at', 'timestamp') }} as minute_at,

        ---------- contract
        {{ cadran.contract_fault('telemetry', 'requests') }} as fault
    from source
)

select * from renamed
