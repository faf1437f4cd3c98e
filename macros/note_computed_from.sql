{% macro note_computed_from() -%}
    {%- if execute and config.get("materialized") == "incremental" -%}
        update {{ cadran.build_changes() }} set computed_from = '{{ cadran.computed_from() }}'
        where unique_id = '{{ model.unique_id }}' and invocation_id = '{{ invocation_id }}'
    {%- endif -%}
{%- endmacro %}
