with

source as (
    select * from {{ cadran.source_rows('telemetry', 'deployments') }}
),

renamed as (
    select
        ---------- ids
        {{ cadran.safe_cast('deployment_id', 'varchar') }} as deployment_id,
        {{ cadran.safe_cast('service_id', 'varchar') }} as service_id,
        {{ cadran.safe_cast('incident_id', 'varchar') }} as incident_id,

        ---------- booleans
        {{ cadran.safe_cast('is_failed', 'boolean') }} as is_failed,

        ---------- times
        {{ cadran.safe_cast('deployed_at', 'timestamp') }} as deployed_at,

        ---------- contract
        {{ cadran.contract_fault('telemetry', 'deployments') }} as fault
    from source
)

select * from renamed
