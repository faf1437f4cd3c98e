{% macro business_date(timestamp) -%}
    {{ return(adapter.dispatch('business_date', 'cadran')(timestamp)) }}
{%- endmacro %}


{% macro default__business_date(timestamp) -%}
    cast((({{ timestamp }}) at time zone 'UTC') at time zone '{{ var("cadran_time_zone", "UTC") }}' as date)
{%- endmacro %}


{% macro spark__business_date(timestamp) -%}
    cast(from_utc_timestamp({{ timestamp }}, '{{ var("cadran_time_zone", "UTC") }}') as date)
{%- endmacro %}
