{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if not custom_schema_name -%}
        {%- do return(target.schema) -%}
    {%- elif target.schema == var("cadran_schema", "analytics") -%}
        {%- do return(custom_schema_name | trim) -%}
    {%- endif -%}
    {#- Of two targets in one database only one has the plain names. -#}
    {%- do return(target.schema ~ "_" ~ custom_schema_name | trim) -%}
{%- endmacro %}
