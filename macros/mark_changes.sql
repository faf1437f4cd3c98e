{#- `build_changes` has, for each model that a build takes up to replace rows of it from an instant
    on, that instant; NULL where the whole table may become another. What is computed from one of
    them then knows which of its periods to compute again: see `changed_rows`. -#}
{% macro mark_changes(names, now) -%}
    {{ return(adapter.dispatch('mark_changes', 'cadran')(names, now)) }}
{%- endmacro %}


{% macro default__mark_changes(names, now) -%}
    {%- set changes = cadran.build_changes() -%}
    {%- call statement("changes_table", auto_begin=false) -%}
        create table if not exists {{ changes }} (
            unique_id varchar(400), invocation_id varchar(64), changed_from timestamp,
            computed_from varchar(64), began_at timestamp, ended_at timestamp
        )
    {%- endcall -%}
    {#- Nobody asks for what is older; and a build that was stopped wrote nothing from here on. -#}
    {%- call statement("changes_forget", auto_begin=false) -%}
        delete from {{ changes }} where ended_at < {{ now }} - interval '40 days'
    {%- endcall -%}
    {%- call statement("changes_end", auto_begin=false) -%}
        update {{ changes }} set ended_at = {{ now }} where ended_at is null
    {%- endcall -%}
    {%- set rows = [] -%}
    {%- for name in names -%}
        {%- set config = graph.nodes.get(name, {}).get("config", {}) -%}
        {%- if config.get("incremental_strategy") in ["replace_from", "replace_changed"] -%}
            {%- set from = cadran.replaced_from(graph.nodes[name]) -%}
            {%- do rows.append("('" ~ name ~ "', '" ~ invocation_id ~ "', " ~ from ~ ")") -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if rows -%}
        {%- call statement("changes_begin", auto_begin=false) -%}
            insert into {{ changes }} (unique_id, invocation_id, changed_from)
            values {{ rows | join(", ") }}
        {%- endcall -%}
    {%- endif -%}
{%- endmacro %}


{% macro spark__mark_changes(names, now) -%}
    {#- Pre-aggregates are built whole there. -#}
{%- endmacro %}
