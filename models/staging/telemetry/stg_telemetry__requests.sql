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

        ---------- numbers
        {{ cadran.safe_cast('request_count', 'integer') }} as request_count,
        {{ cadran.safe_cast('error_5xx_count', 'integer') }} as error_5xx_count,
        {{ cadran.safe_cast('timeout_count', 'integer') }} as timeout_count,
        {{ cadran.safe_cast('error_4xx_count', 'integer') }} as error_4xx_count,
        {{ cadran.safe_cast('le_50_count', 'integer') }} as le_50_count,
        {{ cadran.safe_cast('le_100_count', 'integer') }} as le_100_count,
        {{ cadran.safe_cast('le_200_count', 'integer') }} as le_200_count,
        {{ cadran.safe_cast('le_300_count', 'integer') }} as le_300_count,
        {{ cadran.safe_cast('le_500_count', 'integer') }} as le_500_count,
        {{ cadran.safe_cast('le_1000_count', 'integer') }} as le_1000_count,
        {{ cadran.safe_cast('le_2500_count', 'integer') }} as le_2500_count,
        {{ cadran.safe_cast('le_5000_count', 'integer') }} as le_5000_count,
        {{ cadran.safe_cast('gt_5000_count', 'integer') }} as gt_5000_count,

        ---------- times
        {{ cadran.safe_cast('minute_at', 'timestamp') }} as minute_at,

        ---------- contract
        {{ cadran.contract_fault('telemetry', 'requests') }} as fault
    from source
)

select * from renamed
