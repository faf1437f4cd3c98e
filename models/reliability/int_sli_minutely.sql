{#- Counted once per minute, so that a status reads some minutes and not a mart. A run takes the
    last hours anew, and the whole history of an indicator that has its first SLO. -#}
{{
    config(
        materialized='incremental',
        incremental_strategy='replace_from',
        event_time='minute_at',
        on_schema_change='fail',
    )
}}
{#- Only at execution dbt knows the cards; the marts are named before, so that they are built first. -#}
{%- for mart in var('cadran_sli_marts', []) -%}
    {%- do ref(mart) -%}
{%- endfor -%}
{%- set columns = {
    'kpi': dbt.type_string(),
    'subject_kind': dbt.type_string(),
    'subject': dbt.type_string(),
    'minute_at': 'timestamp',
    'good_count': 'bigint',
    'total_count': 'bigint',
} %}

with

counted as (
    {%- for counts in cadran.sli_counts() %}
    {#- A column of minutes is not truncated again: the warehouse then skips blocks. -#}
    {%- set minute = counts.time if counts.time == 'minute_at'
        else dbt.date_trunc('minute', counts.time) %}
    {%- set kind = counts.by or 'all' %}
    select
        cast('{{ counts.kpi }}' as {{ dbt.type_string() }}) as kpi,
        cast('{{ kind }}' as {{ dbt.type_string() }}) as subject_kind,
        {{ counts.subject or "cast('all' as " ~ dbt.type_string() ~ ")" }} as subject,
        {{ minute }} as minute_at,
        cast({{ counts.good }} as bigint) as good_count,
        cast({{ counts.total }} as bigint) as total_count
    from {{ ref(counts.mart) }}
    {%- if is_incremental() %}
    where
        {{ counts.time }} >= {{ cadran.read_again_from(this, 'minute_at') }}
        or 0 = (
            select count(*) from {{ this }}
            where kpi = '{{ counts.kpi }}' and subject_kind = '{{ kind }}'
        )
    {%- endif %}
    group by {{ counts.subject ~ ', ' if counts.subject }}{{ minute }}
    having {{ counts.total }} > 0
    {{ 'union all' if not loop.last }}
    {%- else %}
        {{ cadran.literal_rows(columns, []) }}
    {%- endfor %}
)

select * from counted
