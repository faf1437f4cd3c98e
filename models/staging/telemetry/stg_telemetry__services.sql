with

source as (
    select * from {{ cadran.source_rows('telemetry', 'services') }}
),

renamed as (
    select
        ---------- ids
        {{ cadran.safe_cast('service_id', 'varchar') }} as service_id,

        ---------- text
        {{ cadran.safe_cast('service_name', 'varchar') }} as service_name,
        {{ cadran.safe_cast('team', 'varchar') }} as team,
        {{ cadran.safe_cast('tier', 'varchar') }} as tier,

        ---------- contract
        {{ cadran.contract_fault('telemetry', 'services') }} as fault
    from source
)

select * from renamed
