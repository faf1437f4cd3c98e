with

source as (
    select * from {{ cadran.source_rows('telemetry', 'incidents') }}
),

renamed as (
    select
        ---------- ids
        {{ cadran.safe_cast('incident_id', 'varchar') }} as incident_id,
        {{ cadran.safe_cast('service_id', 'varchar') }} as service_id,

        ---------- text
        {{ cadran.safe_cast('severity', 'varchar') }} as severity,
        {{ cadran.safe_cast('cause', 'varchar') }} as cause,

        ---------- times
        {{ cadran.safe_cast('started_at', 'timestamp') }} as started_at,
        {{ cadran.safe_cast('detected_at', 'timestamp') }} as detected_at,
        {{ cadran.safe_cast('acknowledged_at', 'timestamp') }} as acknowledged_at,
        {{ cadran.safe_cast('restored_at', 'timestamp') }} as restored_at,

        ---------- contract
        {{ cadran.contract_fault('telemetry', 'incidents') }} as fault
    from source
)

select * from renamed
