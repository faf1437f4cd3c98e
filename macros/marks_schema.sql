{#- Beside the catalogue of the target, which knows nothing of another's builds. -#}
{%- macro marks_schema() -%}
    {%- set catalogue = graph.nodes.get("model.cadran.kpi_catalog", {}) -%}
    {{ return(catalogue.get("schema", "governance")) }}
{%- endmacro -%}
