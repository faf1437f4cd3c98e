{% macro replaced_from(node) -%}
    {%- set refresh = node.config.get("full_refresh") -%}
    {%- set refresh = flags.FULL_REFRESH if refresh is none else refresh -%}
    {%- set built = adapter.get_relation(node.database, node.schema, node.alias) -%}
    {%- if node.config.incremental_strategy != "replace_from" or refresh
        or built is none or built.type != "table" -%}
        {{ return("cast(null as timestamp)") }}
    {%- endif -%}
    {{ return(cadran.read_again_from(built, node.config.event_time)) }}
{%- endmacro %}
