{% macro get_incremental_replace_from_sql(arg_dict) -%}
    {#- Whatever was built of the hours read again goes, so that a row that is gone from the
        source, or is rejected now, is gone here too; a key would only replace what came again. -#}
    {%- set target_relation = arg_dict["target_relation"] -%}
    {%- set columns = get_quoted_csv(arg_dict["dest_columns"] | map(attribute="name")) -%}
    {%- set column = config.require("event_time") -%}

    delete from {{ target_relation }}
    where {{ column }} >= {{ cadran.read_again_from(target_relation, column) }};

    insert into {{ target_relation }} ({{ columns }})
    select {{ columns }}
    from {{ arg_dict["temp_relation"] }}
{%- endmacro %}
