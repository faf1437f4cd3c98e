with

slices as (
    select * from {{ ref('fct_slo_slices_hourly') }}
),

slo_definitions as (
    select * from {{ ref('slo_definitions') }}
),

objectives as (
    select * from {{ ref('slo_objectives') }}
),

periods as (
    {% for grain in ['month', 'quarter'] -%}
        select
            slo_id,
            '{{ grain }}' as period_grain,
            cast({{ dbt.date_trunc(grain, 'local_date') }} as date) as period_start,
            max(local_date) as last_date,
            sum(case when not is_excluded then units else 0 end) as units,
            sum(case when not is_excluded then bad_units else 0 end) as bad_units,
            sum(case when not is_excluded then allowed_units else 0 end) as allowed_units,
            sum(units) as gross_units,
            sum(bad_units) as gross_bad_units,
            sum(allowed_units) as gross_allowed_units
        from slices
        group by slo_id, cast({{ dbt.date_trunc(grain, 'local_date') }} as date)
        {{ 'union all' if not loop.last }}
    {% endfor -%}
)

select
    periods.slo_id,
    slo_definitions.slo,
    slo_definitions.subject,
    periods.period_grain,
    periods.period_start,
    periods.last_date,
    objectives.target,
    periods.units,
    periods.bad_units,
    periods.allowed_units,
    1 - {{ cadran.share('periods.bad_units', 'periods.units') }} as compliance_rate,
    {{ cadran.share('periods.bad_units', 'periods.allowed_units') }} as consumed_rate,
    1 - {{ cadran.share('periods.bad_units', 'periods.allowed_units') }} as remaining_rate,
    periods.gross_units,
    periods.gross_bad_units,
    periods.gross_allowed_units,
    1 - {{ cadran.share('periods.gross_bad_units', 'periods.gross_units') }}
        as gross_compliance_rate,
    {{ cadran.share('periods.gross_bad_units', 'periods.gross_allowed_units') }}
        as gross_consumed_rate,
    1 - {{ cadran.share('periods.gross_bad_units', 'periods.gross_allowed_units') }}
        as gross_remaining_rate
from periods
inner join slo_definitions
    on periods.slo_id = slo_definitions.slo_id
inner join objectives
    on
        periods.slo_id = objectives.slo_id
        and periods.last_date >= objectives.valid_from_date
        and periods.last_date < objectives.valid_to_date
