with

slo_definitions as (
    select * from {{ ref('slo_definitions') }}
),

objectives as (
    select * from {{ ref('slo_objectives') }}
),

members as (
    select * from {{ ref('slo_members') }}
),

window_sums as (
    select * from {{ ref('int_slo_window_sums') }}
    where window_use = 'budget' or window_minutes = 60
),

last_hours as (
    select
        slo_id,
        {{ cadran.share('bad_units', 'allowed_units') }} as burn_rate_1h
    from window_sums
    where window_use = 'burn'
),

singles as (
    select
        window_sums.slo_id,
        window_sums.starts_at as window_starts_at,
        window_sums.ends_at as as_of,
        objectives.target,
        window_sums.units,
        window_sums.bad_units,
        window_sums.allowed_units,
        1 - {{ cadran.share('window_sums.bad_units', 'window_sums.units') }} as compliance_rate,
        {{ cadran.share('window_sums.bad_units', 'window_sums.allowed_units') }} as consumed_rate,
        1 - {{ cadran.share('window_sums.gross_bad_units', 'window_sums.gross_units') }}
            as gross_compliance_rate,
        {{ cadran.share('window_sums.gross_bad_units', 'window_sums.gross_allowed_units') }}
            as gross_consumed_rate,
        last_hours.burn_rate_1h
    from window_sums
    inner join objectives
        on
            window_sums.slo_id = objectives.slo_id
            and window_sums.ends_at > objectives.valid_from_at
            and window_sums.ends_at <= objectives.valid_to_at
    left join last_hours
        on window_sums.slo_id = last_hours.slo_id
    where window_sums.window_use = 'budget'
),

{# Weights stand on consumed budgets: ratios of ratios would weigh a quiet service like a busy one. -#}
composites as (
    select
        members.slo_id,
        min(singles.window_starts_at) as window_starts_at,
        min(singles.as_of) as as_of,
        sum(members.weight * singles.consumed_rate)
        / nullif(sum(case when singles.consumed_rate is not null then members.weight end), 0)
            as weighted_consumed_rate,
        max(singles.consumed_rate) as worst_consumed_rate,
        sum(members.weight * singles.gross_consumed_rate)
        / nullif(sum(case when singles.gross_consumed_rate is not null then members.weight end), 0)
            as weighted_gross_consumed_rate,
        max(singles.gross_consumed_rate) as worst_gross_consumed_rate,
        sum(members.weight * singles.burn_rate_1h)
        / nullif(sum(case when singles.burn_rate_1h is not null then members.weight end), 0)
            as weighted_burn_rate_1h,
        max(singles.burn_rate_1h) as worst_burn_rate_1h
    from members
    inner join singles
        on members.member_slo_id = singles.slo_id
    group by members.slo_id
),

all_slos as (
    select
        slo_id,
        window_starts_at,
        as_of,
        target,
        units,
        bad_units,
        allowed_units,
        compliance_rate,
        consumed_rate,
        gross_compliance_rate,
        gross_consumed_rate,
        burn_rate_1h
    from singles
    union all
    select
        composites.slo_id,
        composites.window_starts_at,
        composites.as_of,
        null as target,
        null as units,
        null as bad_units,
        null as allowed_units,
        null as compliance_rate,
        case slo_definitions.budgeting
            when 'worst' then composites.worst_consumed_rate
            else composites.weighted_consumed_rate
        end as consumed_rate,
        null as gross_compliance_rate,
        case slo_definitions.budgeting
            when 'worst' then composites.worst_gross_consumed_rate
            else composites.weighted_gross_consumed_rate
        end as gross_consumed_rate,
        case slo_definitions.budgeting
            when 'worst' then composites.worst_burn_rate_1h
            else composites.weighted_burn_rate_1h
        end as burn_rate_1h
    from composites
    inner join slo_definitions
        on composites.slo_id = slo_definitions.slo_id
)

select
    slo_definitions.slo_id,
    slo_definitions.slo,
    slo_definitions.subject,
    slo_definitions.label_en,
    slo_definitions.label_fr,
    slo_definitions.kpi,
    slo_definitions.is_composite,
    slo_definitions.budgeting,
    slo_definitions.window_kind,
    slo_definitions.window_minutes,
    slo_definitions.calendar_grain,
    slo_definitions.time_zone,
    slo_definitions.owner,
    all_slos.window_starts_at,
    all_slos.as_of,
    all_slos.target,
    all_slos.units,
    all_slos.bad_units,
    all_slos.allowed_units,
    all_slos.compliance_rate,
    all_slos.consumed_rate,
    1 - all_slos.consumed_rate as remaining_rate,
    all_slos.gross_compliance_rate,
    all_slos.gross_consumed_rate,
    1 - all_slos.gross_consumed_rate as gross_remaining_rate,
    all_slos.burn_rate_1h,
    {# At the burn of the last hour; a window's budget lasts one window at a burn of 1. -#}
    case
        when all_slos.consumed_rate >= 1 then 0
        when all_slos.burn_rate_1h > 0 then
            (1 - all_slos.consumed_rate) / all_slos.burn_rate_1h
            * case
                when slo_definitions.window_kind = 'rolling' then slo_definitions.window_minutes
                when slo_definitions.calendar_grain = 'week' then 10080
                when slo_definitions.calendar_grain = 'month' then 43200
                when slo_definitions.calendar_grain = 'quarter' then 129600
                else 525600
            end / 60.0
    end as hours_to_exhaustion
from slo_definitions
left join all_slos
    on slo_definitions.slo_id = all_slos.slo_id
