{#- Functions that `safe_cast` needs where an engine has no cast that gives null for what it cannot
    read; created at the start of each run. -#}
{% macro create_readers() -%}
    {{ return(adapter.dispatch('create_readers', 'cadran')()) }}
{%- endmacro %}


{% macro default__create_readers() -%}
{%- endmacro %}


{% macro postgres__create_readers() -%}
    {%- if execute -%}
        {%- set zone = run_query("select current_setting('TimeZone')").columns[0].values()[0] -%}
        {%- if zone not in ['UTC', 'Etc/UTC', 'GMT'] -%}
            {{ exceptions.raise_compiler_error(
                "Sessions on this PostgreSQL are in the time zone " ~ zone ~ ", and times here are in"
                ~ " UTC: set PGTZ=UTC in the environment of dbt, or `alter database "
                ~ target.database ~ " set timezone to 'UTC'`."
            ) }}
        {%- endif -%}
        {%- do adapter.create_schema(api.Relation.create(
            database=target.database, schema=target.schema
        ).without_identifier()) -%}
        {%- call statement('readers', auto_begin=false) -%}
            {{ cadran.postgres__timestamp_readers(cadran.reader('read_timestamp')) }}
            {{ cadran.postgres__date_readers(cadran.reader('read_date')) }}
            {{ cadran.postgres__integer_readers(cadran.reader('read_integer')) }}
            {{ cadran.postgres__number_readers(cadran.reader('read_number')) }}
            {{ cadran.postgres__boolean_readers(cadran.reader('read_boolean')) }}
        {%- endcall -%}
    {%- endif -%}
{%- endmacro %}


{#- A time that is written with an offset or a zone is read at its instant in UTC. What PostgreSQL
    reads beside ISO 8601, such as 'tomorrow', is no time. -#}
{% macro postgres__timestamp_readers(name) %}
create or replace function {{ name }}(value timestamp) returns timestamp
language sql immutable parallel safe as 'select value';
create or replace function {{ name }}(value date) returns timestamp
language sql immutable parallel safe as 'select cast(value as timestamp)';
create or replace function {{ name }}(value timestamptz) returns timestamp
language sql immutable parallel safe as 'select value at time zone ''UTC''';
create or replace function {{ name }}(value text) returns timestamp
language plpgsql stable strict as $read$
begin
    if value !~ '^\s*\d{4}[-/]\d{1,2}[-/]\d{1,2}([ T]|\s*$)' then
        return null;
    end if;
    if value ~ ':\d{2}(\.\d+)? *([A-Za-z]|[+-]\d)' then
        return cast(value as timestamptz) at time zone 'UTC';
    end if;
    return cast(value as timestamp);
exception when data_exception then
    return null;
end
$read$;
{% endmacro %}


{% macro postgres__date_readers(name) %}
create or replace function {{ name }}(value date) returns date
language sql immutable parallel safe as 'select value';
create or replace function {{ name }}(value timestamp) returns date
language sql immutable parallel safe as 'select cast(value as date)';
create or replace function {{ name }}(value text) returns date
language plpgsql stable strict as $read$
begin
    if value ~ '^\s*\d{4}[-/]\d{1,2}[-/]\d{1,2}([ T]|\s*$)' then
        return cast(value as date);
    end if;
    return null;
exception when data_exception then
    return null;
end
$read$;
{% endmacro %}


{#- A fraction is no whole number: a plain cast would round it. -#}
{% macro postgres__integer_readers(name) %}
create or replace function {{ name }}(value bigint, bits integer) returns bigint
language sql immutable parallel safe as
'select case when value between -power(2::numeric, bits) and power(2::numeric, bits) - 1 then value end';
create or replace function {{ name }}(value integer, bits integer) returns bigint
language sql immutable parallel safe as
'select case when bits >= 31 or value between -32768 and 32767 then cast(value as bigint) end';
create or replace function {{ name }}(value numeric, bits integer) returns bigint
language sql immutable parallel safe as
'select case when value = trunc(value) and value between -power(2::numeric, bits) and power(2::numeric, bits) - 1 then cast(value as bigint) end';
create or replace function {{ name }}(value double precision, bits integer) returns bigint
language sql immutable parallel safe as
'select case when value = trunc(value) and abs(value) < power(2::double precision, bits) then cast(value as bigint) end';
create or replace function {{ name }}(value text, bits integer) returns bigint
language sql immutable parallel safe as
'select case when value ~ ''^\s*[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,2})?\s*$'' then {{ name }}(cast(value as numeric), bits) end';
{% endmacro %}


{% macro postgres__number_readers(name) %}
create or replace function {{ name }}(value numeric, digits integer, scale integer) returns numeric
language sql immutable parallel safe as
'select case when abs(round(value, scale)) < power(10::numeric, digits - scale) then value end';
create or replace function {{ name }}(value double precision, digits integer, scale integer) returns numeric
language sql immutable parallel safe as
'select case when abs(value) < 1e300 then {{ name }}(cast(value as numeric), digits, scale) end';
create or replace function {{ name }}(value text, digits integer, scale integer) returns numeric
language sql immutable parallel safe as
'select case when value ~ ''^\s*[+-]?(\d{1,200}(\.\d{0,200})?|\.\d{1,200})([eE][+-]?\d{1,2})?\s*$'' then {{ name }}(cast(value as numeric), digits, scale) end';
{% endmacro %}


{% macro postgres__boolean_readers(name) %}
create or replace function {{ name }}(value boolean) returns boolean
language sql immutable parallel safe as 'select value';
create or replace function {{ name }}(value integer) returns boolean
language sql immutable parallel safe as 'select value <> 0';
create or replace function {{ name }}(value text) returns boolean
language sql immutable parallel safe as
'select case when lower(trim(value)) in (''true'', ''t'', ''yes'', ''y'', ''1'') then true when lower(trim(value)) in (''false'', ''f'', ''no'', ''n'', ''0'') then false end';
{% endmacro %}
