{% macro seed_rows(variable, columns) -%}
    {%- set seed = var(variable, none) -%}
    {%- if seed %}
    select
        {%- for name, type in columns.items() %}
        cast({{ name }} as {{ type }}) as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref(seed) }}
    {%- else -%}
    {{ cadran.literal_rows(columns, []) }}
    {%- endif -%}
{%- endmacro %}
