{% macro resolution_target_hours(priority) -%}
    case
        {%- for name, hours in var('cadran_resolution_target_hours', {}).items() %}
        when {{ priority }} = '{{ name }}' then {{ hours }}
        {%- endfor %}
    end
{%- endmacro %}
