{% macro build_changes() -%}
    {{ return(api.Relation.create(
        database=target.database, schema=cadran.marks_schema(), identifier="build_changes"
    )) }}
{%- endmacro %}
