{% macro literal_rows(columns, rows) -%}
    {%- for row in rows %}
    select
        {%- for name, type in columns.items() %}
        {{ cadran.literal(row[name], type) }} as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    {{ 'union all' if not loop.last }}
    {%- else %}
    select
        {%- for name, type in columns.items() %}
        {{ cadran.literal(none, type) }} as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (select 1 as nothing) as no_row
    where 1 = 0
    {%- endfor %}
{%- endmacro %}
