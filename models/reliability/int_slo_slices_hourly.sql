{#- Whole history once, then the last hours again, and all of an SLO that is new or counts its
    slices otherwise than before. -#}
{{
    config(
        materialized='incremental',
        incremental_strategy='replace_from',
        event_time='hour_at',
        on_schema_change='fail',
    )
}}

with

slices as (
    select * from {{ ref('int_slo_slices_minutely') }}
),

slo_definitions as (
    select * from {{ cadran.registered('slo_definitions') }}
),

{% if is_incremental() -%}
    known as (
        select distinct
            slo_id,
            slice_rule
        from {{ this }}
    ),

    new_slos as (
        select slo_definitions.slo_id
        from slo_definitions
        left join known
            on
                slo_definitions.slo_id = known.slo_id
                and slo_definitions.slice_rule = known.slice_rule
        where known.slo_id is null and not slo_definitions.is_composite
    ),

    relevant as (
        select * from slices
        where minute_at >= {{ cadran.read_again_from(this, 'hour_at') }}
        union all
        select slices.* from slices
        inner join new_slos
            on slices.slo_id = new_slos.slo_id
        where slices.minute_at < {{ cadran.read_again_from(this, 'hour_at') }}
    ),
{%- else -%}
    relevant as (
        select * from slices
    ),
{%- endif %}

{# Clocks of zones differ by quarters of an hour, so a quarter lies in one local day. -#}
quarters as (
    select
        slo_id,
        slice_rule,
        {{ cadran.quarter_hour('minute_at') }} as quarter_at,
        sum(units) as units,
        sum(bad_units) as bad_units
    from relevant
    group by slo_id, slice_rule, {{ cadran.quarter_hour('minute_at') }}
),

localized as (
    select
        quarters.slo_id,
        quarters.slice_rule,
        {{ dbt.date_trunc('hour', 'quarters.quarter_at') }} as hour_at,
        cast(
            {{ cadran.local_time('quarters.quarter_at', 'slo_definitions.time_zone') }} as date
        ) as local_date,
        quarters.units,
        quarters.bad_units
    from quarters
    inner join slo_definitions
        on
            quarters.slo_id = slo_definitions.slo_id
            and quarters.slice_rule = slo_definitions.slice_rule
)

select
    slo_id,
    slice_rule,
    hour_at,
    local_date,
    cast(sum(units) as bigint) as units,
    cast(sum(bad_units) as decimal(28, 9)) as bad_units
from localized
group by slo_id, slice_rule, hour_at, local_date
