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


{% macro postgres__safe_cast(field, type) -%}
    {#- The functions of `readers` tell the type of their argument when the query is planned. #}
    {%- set name, _, size = (type | lower | trim).partition('(') -%}
    {%- set reader = {
        'timestamp': 'read_timestamp', 'date': 'read_date', 'boolean': 'read_boolean',
        'smallint': 'read_integer', 'integer': 'read_integer', 'bigint': 'read_integer',
        'decimal': 'read_number', 'numeric': 'read_number', 'double precision': 'read_number',
    }.get(name | trim) -%}
    {%- if reader is none -%}
        cast({{ field }} as {{ type }})
    {%- elif reader == 'read_integer' -%}
        {%- set bits = {'smallint': 15, 'integer': 31, 'bigint': 63}[name | trim] -%}
        {{ cadran.reader(reader) }}({{ field }}, {{ bits }})::{{ type }}
    {%- elif reader == 'read_number' -%}
        {%- set digits = size.partition(')')[0] | replace(' ', '') or '1000,300' -%}
        {{ cadran.reader(reader) }}({{ field }}, {{ digits }})::{{ type }}
    {%- else -%}
        {{ cadran.reader(reader) }}({{ field }})
    {%- endif %}
{%- endmacro %}


{% macro spark__safe_cast(field, type) -%}
    {#- A time that is written with an offset or a zone is read at its instant, as all times are. #}
    {%- if type | lower in ['integer', 'bigint'] -%}
    {#- A fraction is no whole number: the plain cast would cut it. #}
    case
        when try_cast({{ field }} as double) = try_cast(try_cast({{ field }} as decimal(38, 0)) as {{ type }})
            then try_cast(try_cast({{ field }} as decimal(38, 0)) as {{ type }})
    end
    {%- elif type | lower == 'timestamp' -%}
    try_cast({{ field }} as timestamp)
    {%- elif type | lower == 'varchar' -%}
    cast({{ field }} as string)
    {%- else -%}
    try_cast({{ field }} as {{ type }})
    {%- endif %}
{%- endmacro %}
