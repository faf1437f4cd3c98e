{% macro hours_between(start, stop) -%}
    {{ return(adapter.dispatch('hours_between', 'cadran')(start, stop)) }}
{%- endmacro %}


{% macro default__hours_between(start, stop) -%}
    cast({{ dbt.datediff(start, stop, 'second') }} as decimal(18, 6)) / 3600
{%- endmacro %}
