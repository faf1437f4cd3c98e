with

target_values as (
    {{ cadran.seed_rows('cadran_targets', {
        'kpi': dbt.type_string(),
        'period_grain': dbt.type_string(),
        'period_start': 'date',
        'target': 'decimal(28, 6)',
        'warning': 'decimal(28, 6)',
        'critical': 'decimal(28, 6)',
        'baseline': 'decimal(28, 6)',
        'owner': dbt.type_string(),
    }) }}
),

kpi_catalog as (
    select * from {{ ref('kpi_catalog') }}
),

period_bounds as (
    select distinct
        period_grain,
        period_start,
        case period_grain
            when 'month' then {{ dbt.dateadd('month', 1, 'period_start') }}
            when 'quarter' then {{ dbt.dateadd('month', 3, 'period_start') }}
            when 'year' then {{ dbt.dateadd('month', 12, 'period_start') }}
        end as next_start
    from target_values
)

select
    target_values.kpi,
    target_values.period_grain,
    target_values.period_start,
    cast(
        {{ dbt.dateadd('day', -1, 'period_bounds.next_start') }} as date
    ) as period_end,
    target_values.target,
    target_values.warning,
    target_values.critical,
    target_values.baseline,
    target_values.owner,
    kpi_catalog.label_en,
    kpi_catalog.label_fr,
    kpi_catalog.tier,
    kpi_catalog.objective,
    kpi_catalog.unit,
    kpi_catalog.direction
from target_values
inner join period_bounds
    on
        target_values.period_grain = period_bounds.period_grain
        and target_values.period_start = period_bounds.period_start
{# A domain that is not built has no KPI, and its targets say nothing here. -#}
inner join kpi_catalog
    on target_values.kpi = kpi_catalog.kpi
