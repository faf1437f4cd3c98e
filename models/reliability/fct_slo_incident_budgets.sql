with

burn as (
    select * from {{ ref('fct_slo_burn') }}
),

periods as (
    select * from {{ ref('fct_slo_periods') }}
    where period_grain = 'month'
),

months as (
    select
        slo_id,
        slo,
        subject,
        cast({{ dbt.date_trunc('month', 'local_date') }} as date) as month_start,
        incident_id,
        origin,
        severity,
        cause,
        sum(case when not is_excluded then bad_units else 0 end) as bad_units,
        sum(case when not is_excluded then burning_minutes else 0 end) as burning_minutes,
        sum(bad_units) as gross_bad_units,
        sum(burning_minutes) as gross_burning_minutes
    from burn
    group by
        slo_id, slo, subject, cast({{ dbt.date_trunc('month', 'local_date') }} as date),
        incident_id, origin, severity, cause
)

select
    months.*,
    {{ cadran.share('months.bad_units', 'periods.allowed_units') }} as consumed_rate,
    {{ cadran.share('months.gross_bad_units', 'periods.gross_allowed_units') }}
        as gross_consumed_rate
from months
inner join periods
    on
        months.slo_id = periods.slo_id
        and months.month_start = periods.period_start
