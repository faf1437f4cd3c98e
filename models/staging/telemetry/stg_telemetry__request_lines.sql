with

source as (
    select * from {{ cadran.source_rows('telemetry', 'request_lines') }}
),

renamed as (
    select
        ---------- ids
        {{ cadran.safe_cast('request_id', 'varchar') }} as request_id,
        {{ cadran.safe_cast('service_id', 'varchar') }} as service_id,

        ---------- text
        {{ cadran.safe_cast('route', 'varchar') }} as route,
        {{ cadran.safe_cast('method', 'varchar') }} as method,

        ---------- numbers
        {{ cadran.safe_cast('status', 'integer') }} as status,
        {{ cadran.safe_cast('duration_ms', 'integer') }} as duration_ms,

        ---------- booleans
        {{ cadran.safe_cast('is_timeout', 'boolean') }} as is_timeout,

        ---------- times
        {{ cadran.safe_cast('received_at', 'timestamp') }} as received_at,

        ---------- contract
        {{ cadran.contract_fault('telemetry', 'request_lines') }} as fault
    from source
)

select * from renamed
