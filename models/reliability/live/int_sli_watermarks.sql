{%- for mart in var('cadran_sli_marts', []) -%}
    {%- do ref(mart) -%}
{%- endfor -%}
{%- for counts in cadran.sli_counts() %}
select
    cast('{{ counts.kpi }}' as {{ dbt.type_string() }}) as kpi,
    cast('{{ counts.by or 'all' }}' as {{ dbt.type_string() }}) as subject_kind,
    {{ dbt.date_trunc('minute', 'min(' ~ counts.time ~ ')') }} as first_minute_at,
    {{ dbt.dateadd('minute', 1, dbt.date_trunc('minute', 'max(' ~ counts.time ~ ')')) }} as watermark_at
from {{ ref(counts.mart) }}
{{ 'union all' if not loop.last }}
{%- else %}
{{ cadran.literal_rows({
    'kpi': dbt.type_string(),
    'subject_kind': dbt.type_string(),
    'first_minute_at': 'timestamp',
    'watermark_at': 'timestamp',
}, []) }}
{%- endfor %}
