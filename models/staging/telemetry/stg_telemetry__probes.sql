with

source as (
    select * from {{ cadran.source_rows('telemetry', 'probes') }}
),

renamed as (
    select
        ---------- ids
        {{ cadran.safe_cast('service_id', 'varchar') }} as service_id,

        ---------- text
        {{ cadran.safe_cast('region', 'varchar') }} as region,

        ---------- numbers
        {{ cadran.safe_cast('response_ms', 'integer') }} as response_ms,

        ---------- booleans
        {{ cadran.safe_cast('is_up', 'boolean') }} as is_up,

        ---------- times
        {{ cadran.safe_cast('probed_at', 'timestamp') }} as probed_at,

        ---------- contract
        {{ cadran.contract_fault('telemetry', 'probes') }} as fault
    from source
)

select * from renamed
