{% macro utc_time(local_timestamp, zone) -%}
    {{ return(adapter.dispatch('utc_time', 'cadran')(local_timestamp, zone)) }}
{%- endmacro %}


{% macro default__utc_time(local_timestamp, zone) -%}
    ((({{ local_timestamp }}) at time zone {{ zone }}) at time zone 'UTC')
{%- endmacro %}


{% macro spark__utc_time(local_timestamp, zone) -%}
    to_utc_timestamp({{ local_timestamp }}, {{ zone }})
{%- endmacro %}
