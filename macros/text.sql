{% macro text() -%}
    {{ return(adapter.dispatch('text', 'cadran')()) }}
{%- endmacro %}


{% macro default__text() -%}
    varchar
{%- endmacro %}


{% macro spark__text() -%}
    string
{%- endmacro %}
