{% macro hours_between(start, stop) -%}
    {{ return(adapter.dispatch('hours_between', 'cadran')(start, stop)) }}
{%- endmacro %}


{% macro default__hours_between(start, stop) -%}
    cast({{ dbt.datediff(start, stop, 'second') }} as decimal(18, 6)) / 3600
{%- endmacro %}


{% macro postgres__hours_between(start, stop) -%}
    {#- A quotient of decimals is a decimal here, cut at some place. -#}
    cast(extract(epoch from date_trunc('second', {{ stop }}) - date_trunc('second', {{ start }})) as double precision) / 3600
{%- endmacro %}


{% macro spark__hours_between(start, stop) -%}
    {#- A quotient of decimals is a decimal here, cut at some place. -#}
    cast({{ dbt.datediff(start, stop, 'second') }} as double) / 3600
{%- endmacro %}
