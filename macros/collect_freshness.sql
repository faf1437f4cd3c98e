{#- dbt asks for the newest row of a source where its relation says; here the rows may be files,
    and times texts. -#}
{% macro duckdb__collect_freshness(source, loaded_at_field, filter) %}
    {% set read = {'rows': source} %}
    {% for node in graph.sources.values() if node.relation_name == source | string %}
        {% if not cadran.source_place(node.source_name).startswith('schema:') %}
            {% do read.update({'rows': cadran.source_files(node.source_name, node.name) or source}) %}
        {% endif %}
    {% endfor %}
    {% call statement('collect_freshness', fetch_result=true, auto_begin=false) %}
        select
            max({{ cadran.safe_cast(loaded_at_field, 'timestamp') }}) as max_loaded_at,
            {{ current_timestamp() }} as snapshotted_at
        from {{ read.rows }}
        {{ 'where ' ~ filter if filter }}
    {% endcall %}
    {{ return(load_result('collect_freshness')) }}
{% endmacro %}
