{% macro local_time(timestamp, zone) -%}
    {{ return(adapter.dispatch('local_time', 'cadran')(timestamp, zone)) }}
{%- endmacro %}


{% macro default__local_time(timestamp, zone) -%}
    ((({{ timestamp }}) at time zone 'UTC') at time zone {{ zone }})
{%- endmacro %}


{% macro spark__local_time(timestamp, zone) -%}
    from_utc_timestamp({{ timestamp }}, {{ zone }})
{%- endmacro %}
