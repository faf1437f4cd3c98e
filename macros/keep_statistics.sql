{% macro keep_statistics(relation) -%}
    {{ return(adapter.dispatch('keep_statistics', 'cadran')(relation)) }}
{%- endmacro %}


{% macro default__keep_statistics(relation) -%}
{%- endmacro %}


{% macro postgres__keep_statistics(relation) -%}
    {#- A table that was just filled has none until the server comes by; a plan made without them
        may take an hour for what takes a second. #}
    {%- if execute and config.get('materialized') in ['table', 'incremental', 'seed'] -%}
        {#- Its last minutes, and those of an incident, are then read without the others. -#}
        {%- set time = config.get('event_time') -%}
        {%- if time and not cadran.postgres__has_index(relation) -%}
            create index on {{ relation }} ({{ time }});
        {%- endif %}
        analyze {{ relation }}
    {%- endif -%}
{%- endmacro %}


{% macro postgres__has_index(relation) -%}
    {%- set found = run_query(
        "select count(*) from pg_catalog.pg_index where indrelid = to_regclass('" ~ relation ~ "')"
    ) -%}
    {{ return(found.columns[0].values()[0] > 0) }}
{%- endmacro %}
