{% macro uuid() -%}
    {{ return(adapter.dispatch('uuid', 'cadran')()) }}
{%- endmacro %}


{% macro default__uuid() -%}
    UUID()
{%- endmacro %}


{% macro postgres__uuid() -%}
    gen_random_uuid()
{%- endmacro %}
