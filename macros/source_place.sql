{% macro source_place(source_name) %}
    {% set places = var('cadran_sources') %}
    {% if places is mapping %}
        {% if source_name not in places %}
            {{ exceptions.raise_compiler_error(
                "cadran_sources names no place for the source '" ~ source_name
                ~ "'. Add '" ~ source_name ~ ": <folder>' or '" ~ source_name
                ~ ": schema:<name>', or take its domain out of cadran_domains."
            ) }}
        {% endif %}
        {{ return(places[source_name]) }}
    {% endif %}
    {{ return(places) }}
{% endmacro %}
