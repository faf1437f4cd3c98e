{% macro kpi_nodes() %}
    {#- The graph is complete only when dbt executes. -#}
    {% set found = [] %}
    {% if execute %}
        {% for metric in graph.metrics.values() | sort(attribute='name') %}
            {% if metric.config.meta and metric.config.meta.kpi is mapping %}
                {% do found.append(metric) %}
            {% endif %}
        {% endfor %}
    {% endif %}
    {{ return(found) }}
{% endmacro %}
