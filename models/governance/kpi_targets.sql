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
)

select
    target_values.kpi,
    target_values.period_grain,
    target_values.period_start,
    {% set months = {'month': 1, 'quarter': 3, 'year': 12} -%}
    cast(case target_values.period_grain
        {%- for grain, count in months.items() %}
        when '{{ grain }}'
            then {{ dbt.dateadd('day', -1, dbt.dateadd('month', count, 'target_values.period_start')) }}
        {%- endfor %}
    end as date) as period_end,
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
{# A domain that is not built has no KPI, and its targets say nothing here. -#}
inner join kpi_catalog
    on target_values.kpi = kpi_catalog.kpi
