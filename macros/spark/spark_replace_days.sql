{#- Puts rows into a table by day, where all from an instant on is theirs alone. -#}
{% macro spark_replace_days(built, relation, day, column, from) %}
    {%- set names = adapter.get_columns_in_relation(relation) | map(attribute='name') | list -%}
    {%- set new_names = adapter.get_columns_in_relation(built) | map(attribute='name') | list -%}
    {%- if names | sort != new_names | sort -%}
        {%- do exceptions.raise_compiler_error(
            relation ~ " has the columns " ~ names | join(", ") ~ " and its model "
            ~ new_names | join(", ") ~ ": build it anew with --full-refresh."
        ) -%}
    {%- endif -%}
    {%- set first = "cast(" ~ from ~ " as date)" -%}
    {%- set columns = (names | reject('equalto', day) | list + [day]) | join(', ') -%}
    {#- What the first day has before the instant stays. -#}
    {%- call statement('keep') -%}
        insert into table {{ built }} partition ({{ day }})
        select {{ columns }} from {{ relation }}
        where {{ day }} = {{ first }} and {{ column }} < {{ from }}
    {%- endcall -%}
    {#- A model may also bring earlier rows of what it did not have before: they stand beside those
        of their days. First, for a run that is stopped after it brings them no second time. -#}
    {%- call statement('add') -%}
        insert into table {{ relation }} partition ({{ day }})
        select {{ columns }} from {{ built }} where {{ day }} < {{ first }}
    {%- endcall -%}
    {%- call statement('mode') -%} set spark.sql.sources.partitionOverwriteMode = dynamic {%- endcall -%}
    {%- call statement('replace') -%}
        insert overwrite table {{ relation }} partition ({{ day }})
        select {{ columns }} from {{ built }} where {{ day }} >= {{ first }}
    {%- endcall -%}
    {%- set emptied = run_query(
        "select distinct cast(" ~ day ~ " as string) from " ~ relation ~ " where " ~ day
        ~ " >= " ~ first ~ " and " ~ day ~ " not in (select " ~ day ~ " from " ~ built
        ~ " where " ~ day ~ " is not null)"
    ).columns[0].values() | list -%}
    {%- for gone in emptied -%}
        {%- call statement('forget_day') -%}
            alter table {{ relation }} drop if exists partition ({{ day }} = '{{ gone }}')
        {%- endcall -%}
    {%- endfor -%}
    {%- do adapter.drop_relation(built) -%}
{% endmacro %}
