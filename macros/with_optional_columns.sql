{# A column that the contract does not require may be absent: it reads as empty. #}
{% macro with_optional_columns(rows, source_name, table_name) %}
    {{ return(adapter.dispatch('with_optional_columns', 'cadran')(rows, source_name, table_name)) }}
{% endmacro %}


{% macro default__with_optional_columns(rows, source_name, table_name) %}
    {% set present = adapter.get_columns_in_relation(rows) | map(attribute='name') | map('lower') | list %}
    {% set absent = [] %}
    {% for column in cadran.contract_columns(source_name, table_name)
        if not column.config.meta.required and column.name | lower not in present %}
        {% do absent.append("cast(null as " ~ column.data_type ~ ") as " ~ column.name) %}
    {% endfor %}
    {{ return("(select *, " ~ absent | join(", ") ~ " from " ~ rows ~ ") as padded" if absent else rows) }}
{% endmacro %}


{% macro duckdb__with_optional_columns(rows, source_name, table_name) %}
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


{% macro spark__with_optional_columns(rows, source_name, table_name) %}
    {% set present = run_query("describe query select * from " ~ rows).columns[0].values() | map('lower') | list %}
    {% set absent = [] %}
    {% for column in cadran.contract_columns(source_name, table_name)
        if not column.config.meta.required and column.name | lower not in present %}
        {% do absent.append("cast(null as string) as " ~ column.name) %}
    {% endfor %}
    {{ return("(select *, " ~ absent | join(", ") ~ " from " ~ rows ~ ") as padded" if absent else rows) }}
{% endmacro %}
