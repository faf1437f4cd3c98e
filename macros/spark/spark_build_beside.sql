{#- Builds rows as a table beside another one, by day where a column of days is named; returns it. -#}
{% macro spark_build_beside(relation, sql, day=none) %}
    {%- set beside = relation.incorporate(path={'identifier': relation.identifier ~ '__new'}, type='table') -%}
    {#- What a build that was stopped left goes. -#}
    {%- call statement('forget_beside') -%} drop table if exists {{ beside }} {%- endcall -%}
    {%- call statement('main') -%}
        create table {{ beside }} using parquet
        {{ 'partitioned by (' ~ day ~ ')' if day }}
        as
        {{ sql }}
    {%- endcall -%}
    {{ return(beside) }}
{% endmacro %}
