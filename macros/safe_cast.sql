{% macro safe_cast(field, type) -%}
    {{ return(adapter.dispatch('safe_cast', 'cadran')(field, type)) }}
{%- endmacro %}


{% macro default__safe_cast(field, type) -%}
    {{ return(dbt.safe_cast(field, type)) }}
{%- endmacro %}


{% macro duckdb__safe_cast(field, type) -%}
    {# dbt's own macro falls back to a plain cast on DuckDB, which would stop the build. #}
    try_cast({{ field }} as {{ type }})
{%- endmacro %}
