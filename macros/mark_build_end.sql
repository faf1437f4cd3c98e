{#- The mark at the end of a build: failed when anything in it failed or was skipped for it. -#}
{%- macro mark_build_end(results) -%}
    {%- set bad = [] -%}
    {%- for result in results if result.status | string in ["error", "fail", "runtime error", "skipped"] -%}
        {%- do bad.append(result.node.name) -%}
    {%- endfor -%}
    {{ cadran.mark_build("failed" if bad else "finished") }}
{%- endmacro -%}
