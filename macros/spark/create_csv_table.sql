{#- As dbt-spark's, with the types of seeds as Spark names them. -#}
{% macro spark__create_csv_table(model, agate_table) %}
    {%- set columns = [] -%}
    {%- for name, type in cadran.spark_seed_types(model, agate_table).items() -%}
        {%- do columns.append(name ~ ' ' ~ type) -%}
    {%- endfor -%}
    {%- set sql -%} create table {{ this.render() }} ({{ columns | join(', ') }}) using parquet {%- endset -%}
    {%- call statement('_') -%} {{ sql }} {%- endcall -%}
    {{ return(sql) }}
{% endmacro %}
