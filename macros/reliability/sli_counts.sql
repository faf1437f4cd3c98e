{% macro sli_counts() %}
    {#- What counts the good and the valid events of each KPI that has an SLO: its mart, time
        column, subject column and two aggregates. -#}
    {% set counts = [] %}
    {% set seen = [] %}
    {% for entry in cadran.slo_entries() if not entry.members %}
        {% set key = entry.kpi ~ ' by ' ~ entry.by %}
        {% if key not in seen %}
            {% do seen.append(key) %}
            {% set metric = graph.metrics.values() | selectattr('name', 'equalto', entry.kpi) | first %}
            {% if metric.type != 'ratio' %}
                {% do exceptions.raise_compiler_error(
                    "KPI '" ~ entry.kpi ~ "' has an SLO and is of type " ~ metric.type
                    ~ ": an SLI is a ratio of good to valid events."
                ) %}
            {% endif %}
            {% set good = cadran.sli_aggregate(metric, metric.type_params.numerator) %}
            {% set total = cadran.sli_aggregate(metric, metric.type_params.denominator) %}
            {% if good.mart != total.mart %}
                {% do exceptions.raise_compiler_error(
                    "KPI '" ~ entry.kpi ~ "' counts good events in " ~ good.mart ~ " and valid ones in "
                    ~ total.mart ~ ": an SLI counts both in one mart."
                ) %}
            {% endif %}
            {% set subject = none %}
            {% if entry.by %}
                {% set entity = good.semantic_model.entities
                    | selectattr('name', 'equalto', entry.by) | first %}
                {% if not entity %}
                    {% do exceptions.raise_compiler_error(
                        "SLO '" ~ entry.slo ~ "' is by " ~ entry.by ~ ", which is no entity of "
                        ~ good.mart ~ "; it has: "
                        ~ good.semantic_model.entities | map(attribute='name') | join(', ') ~ "."
                    ) %}
                {% endif %}
                {% set subject = entity.expr or entity.name %}
            {% endif %}
            {% do counts.append({
                'kpi': entry.kpi,
                'by': entry.by,
                'mart': good.mart,
                'time': good.time,
                'subject': subject,
                'good': good.sql,
                'total': total.sql,
            }) %}
        {% endif %}
    {% endfor %}
    {{ return(counts) }}
{% endmacro %}
