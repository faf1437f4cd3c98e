{% macro reader(name) -%}
    {{ target.schema }}.cadran_{{ name }}
{%- endmacro %}
