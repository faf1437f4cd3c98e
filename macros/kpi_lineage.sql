{% macro kpi_lineage(metric) %}
    {% set seen = {} %}
    {% set reached = {'models': [], 'sources': []} %}
    {% set waiting = [metric.unique_id] %}
    {#- Jinja has no while: a list that grows while it is walked does the same. -#}
    {% for unique_id in waiting if unique_id not in seen %}
        {% do seen.update({unique_id: true}) %}
        {% set kind = unique_id.split('.')[0] %}
        {% set node = none %}
        {% if kind == 'metric' %}
            {% set node = graph.metrics.get(unique_id) %}
        {% elif kind == 'semantic_model' %}
            {% set node = graph.semantic_models.get(unique_id) %}
        {% elif kind == 'source' %}
            {% set source = graph.sources.get(unique_id) %}
            {% do reached.sources.append(source.source_name ~ '.' ~ source.name) %}
        {% else %}
            {% set node = graph.nodes.get(unique_id) %}
        {% endif %}
        {% if node %}
            {% for parent in node.depends_on.nodes %}
                {% if kind in ('metric', 'semantic_model') and parent.startswith('model.') %}
                    {% do reached.models.append(graph.nodes[parent].name) %}
                {% endif %}
                {% do waiting.append(parent) %}
            {% endfor %}
        {% endif %}
    {% endfor %}
    {{ return({
        'models': reached.models | unique | sort | list,
        'sources': reached.sources | unique | sort | list,
    }) }}
{% endmacro %}
