{% macro keep_statistics(relation) -%}
    {{ return(adapter.dispatch('keep_statistics', 'cadran')(relation)) }}
{%- endmacro %}


{% macro default__keep_statistics(relation) -%}
{%- endmacro %}


{% macro postgres__keep_statistics(relation) -%}
    {#- A table that was just filled has none until the server comes by; a plan made without them
        may take an hour for what takes a second. -#}
    {%- if execute and config.get('materialized') in ['table', 'incremental', 'seed'] -%}
        analyze {{ relation }}
    {%- endif -%}
{%- endmacro %}
