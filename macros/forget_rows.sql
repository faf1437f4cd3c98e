{% macro forget_rows(relation, column=none, values=[]) -%}
    {{ return(adapter.dispatch('forget_rows', 'cadran')(relation, column, values)) }}
{%- endmacro %}


{% macro default__forget_rows(relation, column, values) -%}
    delete from {{ relation }}
    {%- if column %} where {{ column }} in ('{{ values | join("', '") }}') {%- endif -%}
{%- endmacro %}


{% macro spark__forget_rows(relation, column, values) -%}
    {#- Files of Parquet are written anew, in one statement: the few rows that stay are read first. -#}
    {%- set rows = [] -%}
    {%- if column -%}
        {%- set columns = adapter.get_columns_in_relation(relation) -%}
        {%- set names = columns | map(attribute='name') | join(' as string), cast(') -%}
        {%- for row in run_query(
            "select cast(" ~ names ~ " as string) from " ~ relation
            ~ " where " ~ column ~ " not in ('" ~ values | join("', '") ~ "')"
        ).rows -%}
            {%- set literals = [] -%}
            {%- for each in columns -%}
                {%- do literals.append(cadran.literal(row[loop.index0], each.dtype) | trim) -%}
            {%- endfor -%}
            {%- do rows.append('(' ~ literals | join(', ') ~ ')') -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if rows -%}
        insert overwrite table {{ relation }} values {{ rows | join(', ') }}
    {%- else -%}
        truncate table {{ relation }}
    {%- endif -%}
{%- endmacro %}
