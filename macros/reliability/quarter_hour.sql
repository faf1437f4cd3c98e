{% macro quarter_hour(timestamp) -%}
    {{ return(adapter.dispatch('quarter_hour', 'cadran')(timestamp)) }}
{%- endmacro %}


{% macro default__quarter_hour(timestamp) -%}
    {%- set past = "cast(floor(extract(minute from " ~ timestamp ~ ") / 15) * 15 as integer)" -%}
    {{ dbt.dateadd('minute', past, dbt.date_trunc('hour', timestamp)) }}
{%- endmacro %}


{% macro duckdb__quarter_hour(timestamp) -%}
    time_bucket(interval 15 minute, {{ timestamp }})
{%- endmacro %}
