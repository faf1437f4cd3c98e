{% macro share(part, whole) -%}
    {#- Of decimals, because a float of 32 bits is what some warehouses call float. -#}
    cast({{ part }} as decimal(38, 9)) / nullif(cast({{ whole }} as decimal(38, 9)), 0)
{%- endmacro %}
