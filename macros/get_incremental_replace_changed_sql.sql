{% macro get_incremental_replace_changed_sql(arg_dict) -%}
    {%- set target_relation = arg_dict["target_relation"] -%}
    {%- set columns = get_quoted_csv(arg_dict["dest_columns"] | map(attribute="name")) -%}
    {%- set period = config.require("event_time") -%}
    {#- The instant from which on the model read its fact, as `changed_rows` wrote it. -#}
    {%- set from = modules.re.search("cast\\('[^']+' as timestamp\\)", model.compiled_code).group() -%}

    delete from {{ target_relation }}
    where {{ period }} >= {{ from }} {{ "or " ~ period ~ " is null" if "'0001" in from }};

    insert into {{ target_relation }} ({{ columns }})
    select {{ columns }}
    from {{ arg_dict["temp_relation"] }}
{%- endmacro %}
