{#- In one statement, with quotes in texts: dbt-spark's own ends a text at the first of them. -#}
{% macro spark__load_csv_rows(model, agate_table) %}
    {%- set rows = [] -%}
    {%- for row in agate_table.rows -%}
        {%- do rows.append(row.dict()) -%}
    {%- endfor -%}
    {%- set sql -%}
        insert overwrite table {{ this.render() }}
        {{ cadran.literal_rows(cadran.spark_seed_types(model, agate_table), rows) }}
    {%- endset -%}
    {%- do adapter.add_query(sql, abridge_sql_log=True) -%}
    {{ return(sql) }}
{% endmacro %}
