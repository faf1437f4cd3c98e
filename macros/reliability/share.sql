{% macro share(part, whole) -%}
    {{ return(adapter.dispatch('share', 'cadran')(part, whole)) }}
{%- endmacro %}


{% macro default__share(part, whole) -%}
    {#- Of decimals, because a float of 32 bits is what some warehouses call float. -#}
    cast({{ part }} as decimal(38, 9)) / nullif(cast({{ whole }} as decimal(38, 9)), 0)
{%- endmacro %}


{% macro postgres__share(part, whole) -%}
    {#- A quotient of decimals is a decimal here, cut at some place. -#}
    cast({{ part }} as double precision) / nullif(cast({{ whole }} as double precision), 0)
{%- endmacro %}


{% macro spark__share(part, whole) -%}
    {#- A quotient of decimals is a decimal here, cut at some place. -#}
    cast({{ part }} as double) / nullif(cast({{ whole }} as double), 0)
{%- endmacro %}
