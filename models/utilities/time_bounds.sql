{#- The first and last day of the data of each domain that is built; the spines reach no further. -#}
{%- set facts = [] -%}
{%- for domain, model_name, column in [
    ('commerce', 'fct_orders', 'ordered_date'),
    ('commerce', 'fct_order_lines', 'booked_date'),
    ('commerce', 'fct_sessions', 'session_date'),
    ('support', 'fct_tickets', 'opened_date'),
    ('support', 'fct_satisfaction_answers', 'answered_date'),
    ('platform', 'fct_requests_minutely', 'minute_at'),
    ('platform', 'fct_probes', 'probed_at'),
    ('platform', 'fct_incidents', 'started_at'),
    ('platform', 'fct_deployments', 'deployed_at'),
] -%}
    {%- if domain in var('cadran_domains', []) -%}
        {%- do facts.append((model_name, column)) -%}
    {%- endif -%}
{%- endfor %}

with

bounds as (
    {% for model_name, column in facts -%}
        select
            cast(min({{ column }}) as date) as first_date,
            cast(max({{ column }}) as date) as last_date
        from {{ ref(model_name) }}
        {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    min(first_date) as first_date,
    max(last_date) as last_date,
    {{ dbt.dateadd("minute", 1439, "cast(max(last_date) as timestamp)") }} as last_instant
from bounds
