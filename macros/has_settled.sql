{% macro has_settled(column) -%}
    {#- A collector may land rows while a build goes on, minutes as they end and single requests by
        the hour. What is older than that was there when the first model was read. -#}
    {%- set before = run_started_at - modules.datetime.timedelta(hours=2) -%}
    coalesce({{ column }} < cast('{{ before.strftime("%Y-%m-%d %H:%M:%S") }}' as timestamp), true)
{%- endmacro %}
