{#- The columns of a seed with their types, as Spark names them. -#}
{% macro spark_seed_types(model, agate_table) %}
    {%- set named = model['config'].get('column_types', {}) -%}
    {%- set types = {} -%}
    {%- for name in agate_table.column_names -%}
        {%- set type = named.get(name, adapter.convert_type(agate_table, loop.index0)) -%}
        {%- do types.update({name: 'string' if type | lower == 'varchar' else type}) -%}
    {%- endfor -%}
    {{ return(types) }}
{% endmacro %}
