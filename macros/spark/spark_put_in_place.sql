{#- Gives a table the name of another one, which goes once that is done. -#}
{% macro spark_put_in_place(built, relation) %}
    {%- set old = load_relation(relation) -%}
    {%- set aside = relation.incorporate(path={'identifier': relation.identifier ~ '__old'}, type='table') -%}
    {%- call statement('forget_aside') -%} drop table if exists {{ aside }} {%- endcall -%}
    {%- if old is not none and old.is_view -%}
        {%- do adapter.drop_relation(old) -%}
    {%- elif old is not none -%}
        {%- do adapter.rename_relation(old, aside) -%}
    {%- endif -%}
    {%- do adapter.rename_relation(built, relation) -%}
    {%- do adapter.drop_relation(aside) -%}
{% endmacro %}
