{% macro read_again_from(relation, column) -%}
    {#- A literal, and not a subquery: the warehouse can then skip the files before it. -#}
    {%- if not execute -%}
        {{ return("cast(null as timestamp)") }}
    {%- endif -%}
    {%- set last = run_query(
        "select cast(max(" ~ column ~ ") as " ~ dbt.type_string() ~ ") from " ~ relation
    ).columns[0].values()[0] -%}
    {%- if last is none -%}
        {{ return("cast('0001-01-01 00:00:00' as timestamp)") }}
    {%- endif -%}
    {{ return(dbt.dateadd(
        "hour", -1 * var('cadran_late_hours', 0) | int, "cast('" ~ last ~ "' as timestamp)"
    )) }}
{%- endmacro %}
