{% macro contract_fault(source_name, table_name) -%}
    {#- The graph is complete only when dbt executes; parsing needs no more than valid SQL. -#}
    {%- if not execute -%}
        {{ return("cast(null as " ~ dbt.type_string() ~ ")") }}
    {%- endif -%}
    {%- set cases = [] -%}
    {%- for column in cadran.contract_columns(source_name, table_name) -%}
        {%- set rule = column.config.meta -%}
        {%- set value = cadran.safe_cast(column.name, column.data_type) -%}
        {%- if rule.required -%}
            {%- do cases.append((column.name ~ " is null", column.name ~ " is missing", none)) -%}
        {%- endif -%}
        {%- do cases.append((
            column.name ~ " is not null and " ~ value ~ " is null",
            column.name ~ " is no " ~ column.data_type, column.name
        )) -%}
        {%- if rule.accepted -%}
            {%- do cases.append((
                value ~ " not in ('" ~ rule.accepted | join("', '") ~ "')",
                column.name ~ " is none of " ~ rule.accepted | join(", "), none
            )) -%}
        {%- endif -%}
        {%- if rule.minimum is defined -%}
            {%- do cases.append((
                value ~ " < " ~ rule.minimum, column.name ~ " is below " ~ rule.minimum, none
            )) -%}
        {%- endif -%}
        {%- if rule.maximum is defined -%}
            {%- do cases.append((
                value ~ " > " ~ rule.maximum, column.name ~ " is above " ~ rule.maximum, none
            )) -%}
        {%- endif -%}
    {%- endfor -%}
    case
        {%- for condition, reason, unread in cases %}
        when {{ condition }}
            {%- if unread %}
            {#- A value that could not be read is null from here on: it is kept in the reason. #}
            then {{ dbt.concat(["'" ~ reason ~ ": '", "cast(" ~ unread ~ " as " ~ dbt.type_string() ~ ")"]) }}
            {%- else %} then '{{ reason }}'
            {%- endif %}
        {%- endfor %}
    end
{%- endmacro %}
