with

tiers as (
    {{ cadran.seed_rows('cadran_alert_tiers', {
        'policy': dbt.type_string(),
        'tier': dbt.type_string(),
        'severity': dbt.type_string(),
        'budget_share': 'decimal(8, 7)',
        'factor': 'decimal(18, 6)',
        'long_minutes': dbt.type_int(),
        'short_minutes': dbt.type_int(),
        'reference_minutes': dbt.type_int(),
        'min_units': dbt.type_int(),
        'min_bad_units': dbt.type_int(),
    }) }}
),

slo_definitions as (
    select
        *,
        {# A month has 30 days here, as in the tables of the policies that are published. -#}
        case
            when window_kind = 'rolling' then window_minutes
            when calendar_grain = 'week' then 10080
            when calendar_grain = 'month' then 43200
            when calendar_grain = 'quarter' then 129600
            when calendar_grain = 'year' then 525600
        end as period_minutes
    from {{ ref('slo_definitions') }}
    where not is_composite
),

scaled as (
    select
        slo_definitions.slo_id,
        tiers.policy,
        tiers.tier,
        tiers.severity,
        tiers.budget_share,
        tiers.factor,
        slo_definitions.period_minutes,
        cast(
            case
                when tiers.reference_minutes is null then tiers.long_minutes
                else round(
                    cast(tiers.long_minutes as decimal(18, 6)) * slo_definitions.period_minutes
                    / tiers.reference_minutes
                )
            end as integer
        ) as long_minutes,
        cast(
            case
                when tiers.reference_minutes is null then tiers.short_minutes
                else round(
                    cast(tiers.short_minutes as decimal(18, 6)) * slo_definitions.period_minutes
                    / tiers.reference_minutes
                )
            end as integer
        ) as short_minutes,
        tiers.min_units,
        tiers.min_bad_units
    from slo_definitions
    inner join tiers
        on slo_definitions.alert_policy = tiers.policy
)

select
    slo_id,
    policy,
    tier,
    severity,
    period_minutes,
    long_minutes,
    short_minutes,
    {# budget share x period / long window, the factor at which that share goes in that window #}
    cast(
        coalesce(factor, budget_share * period_minutes / long_minutes) as decimal(18, 6)
    ) as factor,
    min_units,
    min_bad_units
from scaled
