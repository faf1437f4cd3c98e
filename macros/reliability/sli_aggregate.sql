{% macro sli_aggregate(metric, input) %}
    {#- The aggregate of a simple metric as SQL over its mart. -#}
    {% set simple = graph.metrics.values() | selectattr('name', 'equalto', input.name) | first %}
    {% set params = simple.type_params.metric_aggregation_params %}
    {% if simple.type != 'simple' or not params or simple.filter or input.filter %}
        {% do exceptions.raise_compiler_error(
            "KPI '" ~ metric.name ~ "' has an SLO, but its input '" ~ input.name
            ~ "' is not a simple metric without filter: put the condition into the building block."
        ) %}
    {% endif %}
    {% set semantic_model = graph.semantic_models.values()
        | selectattr('name', 'equalto', params.semantic_model) | first %}
    {% set expr = simple.type_params.expr or simple.name %}
    {% set sql = {
        'sum': 'sum(' ~ expr ~ ')',
        'count': 'count(' ~ expr ~ ')',
        'sum_boolean': 'sum(case when ' ~ expr ~ ' then 1 else 0 end)',
    }.get(params.agg | string) %}
    {% if not sql %}
        {% do exceptions.raise_compiler_error(
            "KPI '" ~ metric.name ~ "' has an SLO, but '" ~ input.name ~ "' aggregates by "
            ~ params.agg ~ ": an SLI counts events, by sum, count or sum_boolean."
        ) %}
    {% endif %}
    {% set mart = graph.nodes[semantic_model.depends_on.nodes[0]].name %}
    {% if mart not in var('cadran_sli_marts', []) %}
        {% do exceptions.raise_compiler_error(
            "KPI '" ~ metric.name ~ "' has an SLO and reads " ~ mart
            ~ ": add the mart to the variable cadran_sli_marts."
        ) %}
    {% endif %}
    {{ return({
        'sql': sql,
        'mart': mart,
        'semantic_model': semantic_model,
        'time': params.agg_time_dimension or semantic_model.defaults.agg_time_dimension,
    }) }}
{% endmacro %}
