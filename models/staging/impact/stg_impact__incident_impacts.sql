with

source as (
    select * from {{ cadran.source_rows('impact', 'incident_impacts') }}
),

renamed as (
    select
        ---------- ids
        {{ cadran.safe_cast('incident_id', 'varchar') }} as incident_id,
        {{ cadran.safe_cast('service', 'varchar') }} as service_id,

        ---------- text
        {{ cadran.safe_cast('severity', 'varchar') }} as severity,
        {{ cadran.safe_cast('cause', 'varchar') }} as cause,
        {{ cadran.safe_cast('outcome', 'varchar') }} as outcome,
        {{ cadran.safe_cast('shared_with', 'varchar') }} as shared_with,
        {{ cadran.safe_cast('note', 'varchar') }} as note,
        {{ cadran.safe_cast('method', 'varchar') }} as method,

        ---------- numbers
        {{ cadran.safe_cast('estimate', 'decimal(18, 6)') }} as estimate,
        {{ cadran.safe_cast('lower', 'decimal(18, 6)') }} as lower_bound,
        {{ cadran.safe_cast('upper', 'decimal(18, 6)') }} as upper_bound,
        {{ cadran.safe_cast('expected', 'decimal(18, 6)') }} as expected,
        {{ cadran.safe_cast('actual', 'decimal(18, 6)') }} as actual,
        {{ cadran.safe_cast('rebound', 'decimal(18, 6)') }} as rebound,
        {{ cadran.safe_cast('baseline_weeks', 'integer') }} as baseline_weeks,
        {{ cadran.safe_cast('placebos', 'integer') }} as placebos,

        ---------- booleans
        {{ cadran.safe_cast('is_measurable', 'boolean') }} as is_measurable,

        ---------- times
        {{ cadran.safe_cast('started_at', 'timestamp') }} as started_at,
        {{ cadran.safe_cast('restored_at', 'timestamp') }} as restored_at,
        {{ cadran.safe_cast('published_at', 'timestamp') }} as published_at
    from source
)

select * from renamed
