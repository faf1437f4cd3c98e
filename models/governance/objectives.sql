with

objective_definitions as (
    {{ cadran.seed_rows('cadran_objectives', {
        'objective': dbt.type_string(),
        'label_en': dbt.type_string(),
        'label_fr': dbt.type_string(),
        'description_en': dbt.type_string(),
        'description_fr': dbt.type_string(),
        'owner': dbt.type_string(),
    }) }}
),

kpi_catalog as (
    select * from {{ ref('kpi_catalog') }}
),

kpis_per_objective as (
    select
        objective,
        count(case when tier = 'strategic' then 1 end) as strategic_kpi_count,
        count(case when tier = 'operational' then 1 end) as operational_kpi_count
    from kpi_catalog
    group by objective
)

select
    objective_definitions.objective,
    objective_definitions.label_en,
    objective_definitions.label_fr,
    objective_definitions.description_en,
    objective_definitions.description_fr,
    objective_definitions.owner,
    coalesce(kpis_per_objective.strategic_kpi_count, 0) as strategic_kpi_count,
    coalesce(kpis_per_objective.operational_kpi_count, 0) as operational_kpi_count
from objective_definitions
left join kpis_per_objective
    on objective_definitions.objective = kpis_per_objective.objective
