{%- set columns = {
    'kpi': dbt.type_string(),
    'kind': dbt.type_string(),
    'name': dbt.type_string(),
    'group_by': dbt.type_string(),
    'position': dbt.type_int(),
} -%}
{%- set rows = [] -%}
{%- for metric in cadran.kpi_nodes() -%}
    {%- set card = metric.config.meta.kpi -%}
    {%- for grain in card.grains or [] -%}
        {%- do rows.append({
            'kpi': metric.name,
            'kind': 'grain',
            'name': grain,
            'group_by': 'metric_time__' ~ grain,
            'position': loop.index,
        }) -%}
    {%- endfor -%}
    {%- for dimension in card.dimensions or [] -%}
        {%- do rows.append({
            'kpi': metric.name,
            'kind': 'dimension',
            'name': dimension,
            'group_by': dimension,
            'position': loop.index,
        }) -%}
    {%- endfor -%}
{%- endfor -%}

{{ cadran.literal_rows(columns, rows) }}
