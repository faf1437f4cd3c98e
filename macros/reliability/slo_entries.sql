{% macro slo_entries() %}
    {#- One mapping per SLO and subject, from the cards; composites are those with members. -#}
    {% set entries = [] %}
    {% for metric in cadran.kpi_nodes() %}
        {% for slo in metric.config.meta.kpi.slos or [] %}
            {% set window = slo.window or {} %}
            {% set rolling = (window.rolling or '') | string %}
            {% set steps = {'minute': 1, 'hour': 60, 'day': 1440, 'week': 10080} %}
            {% set length = none %}
            {% if rolling %}
                {% set count, step = rolling.split(' ') %}
                {% set length = count | int * steps[step | replace('s', '')] %}
            {% endif %}
            {% set common = {
                'slo': slo.name,
                'kpi': metric.name,
                'label_en': slo.label or metric.label,
                'label_fr': (slo.fr or {}).label or slo.label or metric.label,
                'window_kind': 'calendar' if window.calendar else 'rolling',
                'window_minutes': length,
                'calendar_grain': window.calendar,
                'time_zone': window.time_zone or var('cadran_time_zone', 'UTC'),
                'budgeting': slo.budgeting or 'occurrences',
                'slice_target': slo.slice_target,
                'no_data': slo.no_data or 'ignore',
                'alert_policy': slo.alert_policy or 'standard',
                'owner': slo.owner or metric.config.meta.kpi.owner.technical,
            } %}
            {% if slo.composite %}
                {% do entries.append(dict(common, **{
                    'slo_id': slo.name,
                    'subject': 'all',
                    'by': none,
                    'budgeting': slo.composite.method,
                    'members': slo.composite.of,
                    'objective': none,
                })) %}
            {% elif slo.by %}
                {% for subject, objective in slo.objectives.items() %}
                    {% do entries.append(dict(common, **{
                        'slo_id': slo.name ~ ':' ~ subject,
                        'subject': subject,
                        'by': slo.by,
                        'members': none,
                        'objective': objective,
                    })) %}
                {% endfor %}
            {% else %}
                {% do entries.append(dict(common, **{
                    'slo_id': slo.name,
                    'subject': 'all',
                    'by': none,
                    'members': none,
                    'objective': slo.objective,
                })) %}
            {% endif %}
        {% endfor %}
    {% endfor %}
    {{ return(entries) }}
{% endmacro %}
