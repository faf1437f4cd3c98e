{% macro double() -%}
    {{ return(adapter.dispatch('double', 'cadran')()) }}
{%- endmacro %}


{% macro default__double() -%}
    DOUBLE
{%- endmacro %}


{% macro postgres__double() -%}
    double precision
{%- endmacro %}
