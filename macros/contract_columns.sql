{% macro contract_columns(source_name, table_name) %}
    {% for node in graph.sources.values()
        if node.package_name == model.package_name
        and node.source_name == source_name and node.name == table_name %}
        {{ return(node.columns.values() | list) }}
    {% endfor %}
{% endmacro %}
