{# A column that the contract does not require may be absent: it reads as empty. #}
{% macro with_optional_columns(rows, source_name, table_name) %}
    {% set present = run_query(
        "select lower(column_name) from (describe select * from " ~ rows ~ ")"
    ).columns[0].values() | list %}
    {% set absent = [] %}
    {% for column in cadran.contract_columns(source_name, table_name)
        if not column.config.meta.required and column.name | lower not in present %}
        {% do absent.append("null as " ~ column.name) %}
    {% endfor %}
    {% if not absent %}
        {{ return(rows) }}
    {% endif %}
    {{ return(
        "(select * from " ~ rows ~ " union all by name select " ~ absent | join(", ")
        ~ " where false) as padded"
    ) }}
{% endmacro %}
