{% macro slo_slices(sli_minutes, minutes) -%}
    {#- The relations are named where they are read: a CTE that is read twice is made whole. #}
    with slo_definitions as (
        select * from {{ cadran.registered('slo_definitions') }}
    ),

    watermarks as (
        select * from {{ ref('int_sli_watermarks') }}
    ),

    counted as (
        select
            slo_definitions.slo_id,
            slo_definitions.slice_rule,
            slo_definitions.budgeting,
            slo_definitions.slice_target,
            sli_minutes.minute_at,
            sli_minutes.good_count,
            sli_minutes.total_count
        from {{ sli_minutes }} as sli_minutes
        inner join slo_definitions
            on
                sli_minutes.kpi = slo_definitions.kpi
                and sli_minutes.subject_kind = slo_definitions.subject_kind
                and sli_minutes.subject = slo_definitions.subject
        where not slo_definitions.is_composite
    ),

    {# A minute without traffic is no slice, unless the SLO says that silence is good or bad. -#}
    expected as (
        select
            slo_definitions.slo_id,
            slo_definitions.slice_rule,
            slo_definitions.kpi,
            slo_definitions.subject_kind,
            slo_definitions.subject,
            slo_definitions.no_data,
            minutes.minute_at
        from slo_definitions
        inner join watermarks
            on
                slo_definitions.kpi = watermarks.kpi
                and slo_definitions.subject_kind = watermarks.subject_kind
        inner join {{ minutes }} as minutes
            on
                watermarks.first_minute_at <= minutes.minute_at
                and watermarks.watermark_at > minutes.minute_at
        where slo_definitions.no_data <> 'ignore' and not slo_definitions.is_composite
    ),

    silent as (
        select
            expected.slo_id,
            expected.slice_rule,
            expected.minute_at,
            case when expected.no_data = 'bad' then 1 else 0 end as bad_units
        from expected
        left join {{ sli_minutes }} as sli_minutes
            on
                expected.kpi = sli_minutes.kpi
                and expected.subject_kind = sli_minutes.subject_kind
                and expected.subject = sli_minutes.subject
                and expected.minute_at = sli_minutes.minute_at
        where sli_minutes.kpi is null
    )

    select
        slo_id,
        slice_rule,
        minute_at,
        case when budgeting = 'occurrences' then total_count else 1 end as units,
        cast(
            case budgeting
                when 'occurrences' then total_count - good_count
                when 'timeslices' then case when good_count < slice_target * total_count then 1 else 0 end
                else {{ cadran.share('total_count - good_count', 'total_count') }}
            end as decimal(18, 9)
        ) as bad_units
    from counted
    union all
    select
        slo_id,
        slice_rule,
        minute_at,
        1 as units,
        cast(bad_units as decimal(18, 9)) as bad_units
    from silent
{%- endmacro %}
