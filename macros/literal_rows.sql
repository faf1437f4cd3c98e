{% macro literal_rows(columns, rows) -%}
    {{ return(adapter.dispatch('literal_rows', 'cadran')(columns, rows)) }}
{%- endmacro %}


{% macro default__literal_rows(columns, rows) -%}
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


{% macro spark__literal_rows(columns, rows) -%}
    {#- One table of values: hundreds of selects would each be compiled by themselves. -#}
    {%- if not rows -%}
        {{ return(cadran.default__literal_rows(columns, rows)) }}
    {%- endif -%}
    select {{ columns | join(', ') }}
    from values
    {%- for row in rows %}
        ({% for name, type in columns.items() -%}
            {{ cadran.literal(row[name], type) }}{{ ', ' if not loop.last }}
        {%- endfor %}){{ ',' if not loop.last }}
    {%- endfor %}
    as written ({{ columns | join(', ') }})
{%- endmacro %}
