{% macro safe_cast(field, type) -%}
    {{ return(adapter.dispatch('safe_cast', 'cadran')(field, type)) }}
{%- endmacro %}


{% macro default__safe_cast(field, type) -%}
    {{ return(dbt.safe_cast(field, type)) }}
{%- endmacro %}


{% macro duckdb__safe_cast(field, type) -%}
    {#- dbt's own macro falls back to a plain cast on DuckDB, which would stop the build. A time
        that is written with an offset or a zone is read at its instant in UTC: the cast from
        text would drop them in silence. The type is known when the query is planned, so that a
        column of timestamps costs nothing more. #}
    {%- if type | lower == 'timestamp' -%}
    case
        when
            typeof({{ field }}) = 'VARCHAR'
            and regexp_matches(
                cast({{ field }} as varchar), ':[0-9]{2}([.][0-9]+)? *([A-Za-z]|[+-][0-9])'
            )
            then try_cast(cast({{ field }} as varchar) as timestamptz) at time zone 'UTC'
        else try_cast({{ field }} as timestamp)
    end
    {%- elif type | lower in ['integer', 'bigint'] -%}
    {#- A fraction is no whole number: the plain cast would round it. #}
    case
        when typeof({{ field }}) not like '%INT%'
            then case
                when try_cast({{ field }} as double) = try_cast({{ field }} as {{ type }})
                    then try_cast({{ field }} as {{ type }})
            end
        else try_cast({{ field }} as {{ type }})
    end
    {%- else -%}
    try_cast({{ field }} as {{ type }})
    {%- endif %}
{%- endmacro %}
