{% macro literal(value, type) -%}
    {{ return(adapter.dispatch('literal', 'cadran')(value, type)) }}
{%- endmacro %}


{% macro default__literal(value, type) -%}
    {%- if value is none or value is undefined -%}
        cast(null as {{ type }})
    {%- else -%}
        cast('{{ value | string | trim | replace("'", "''") }}' as {{ type }})
    {%- endif -%}
{%- endmacro %}


{% macro spark__literal(value, type) -%}
    {#- A backslash escapes on Spark, where a doubled quote does not. -#}
    {%- if value is none or value is undefined -%}
        cast(null as {{ type }})
    {%- else -%}
        cast('{{ value | string | trim | replace("\\", "\\\\") | replace("'", "\\'") }}' as {{ type }})
    {%- endif -%}
{%- endmacro %}
