{#- The marks at the end of a build: failed when anything in it failed, was skipped for it, or was
    never come to because somebody stopped the build. -#}
{%- macro mark_build_end(results) -%}
    {%- set bad = [] -%}
    {%- set done = [] -%}
    {%- for result in results -%}
        {%- do done.append(result.node.unique_id) -%}
        {%- if result.status | string in ["error", "fail", "runtime error", "skipped", "partial success"] -%}
            {%- do bad.append(result.node.unique_id) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for name in selected_resources
        if name.split(".")[0] in ["model", "seed", "snapshot", "test", "unit_test"] and name not in done -%}
        {#- What is ephemeral has no result of its own. -#}
        {%- set node = graph.nodes.get(name, {}) -%}
        {%- if node.get("config", {}).get("materialized") != "ephemeral" -%}
            {%- do bad.append(name) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ cadran.mark_times(results) }}
    {%- if execute and flags.WHICH in ["build", "run", "seed", "snapshot"] -%}
        {{ cadran.mark_changed(results) }}
    {%- endif -%}
    {{ cadran.mark_build("failed" if bad else "finished", bad) }}
{%- endmacro -%}
