{% macro registered(name) -%}
    {#- The reference orders the build; the text names a source, so that rows of the register are
        data of the KPIs that read them and not part of their definition. -#}
    {%- do ref(name) -%}
    {{ return(source('slo_register', name)) }}
{%- endmacro %}
