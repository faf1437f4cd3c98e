{% macro mark_changed(results) -%}
    {{ return(adapter.dispatch('mark_changed', 'cadran')(results)) }}
{%- endmacro %}


{% macro default__mark_changed(results) -%}
    {%- for result in results
        if result.node.resource_type == "model" and result.timing
        and result.status | string == "success"
        and result.node.config.get("incremental_strategy") in ["replace_from", "replace_changed"] -%}
        {%- set began = result.timing | map(attribute="started_at") | min -%}
        {%- set ended = result.timing | map(attribute="completed_at") | max -%}
        {%- call statement("changed", auto_begin=false) -%}
            update {{ cadran.build_changes() }}
            set
                began_at = cast('{{ began.strftime("%Y-%m-%d %H:%M:%S.%f") }}' as timestamp),
                ended_at = cast('{{ ended.strftime("%Y-%m-%d %H:%M:%S.%f") }}' as timestamp)
            where
                unique_id = '{{ result.node.unique_id }}' and invocation_id = '{{ invocation_id }}'
        {%- endcall -%}
    {%- endfor -%}
{%- endmacro %}


{% macro spark__mark_changed(results) -%}
{%- endmacro %}
