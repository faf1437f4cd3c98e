{#- When each model, seed and snapshot was built last, and of which file: `build_times` has a row
    for each that ended well. What was computed from a table is older than it where it began before
    the table was ready. -#}
{%- macro mark_times(results) -%}
    {%- if execute and flags.WHICH in ["build", "run", "seed", "snapshot"] -%}
        {%- set times = api.Relation.create(
            database=target.database, schema=cadran.marks_schema(), identifier="build_times"
        ) -%}
        {%- set names = [] -%}
        {%- set rows = [] -%}
        {%- for result in results
            if result.node.resource_type in ["model", "seed", "snapshot"]
            and result.status | string == "success" and result.timing -%}
            {%- set began = result.timing | map(attribute="started_at") | min -%}
            {%- set ended = result.timing | map(attribute="completed_at") | max -%}
            {%- do names.append(result.node.unique_id) -%}
            {%- do rows.append(
                "('" ~ result.node.unique_id
                ~ "', cast('" ~ began.strftime("%Y-%m-%d %H:%M:%S.%f") ~ "' as timestamp)"
                ~ ", cast('" ~ ended.strftime("%Y-%m-%d %H:%M:%S.%f") ~ "' as timestamp)"
                ~ ", '" ~ result.node.checksum.checksum ~ "')"
            ) -%}
        {%- endfor -%}
        {%- call statement("times_table", auto_begin=false) -%}
            create table if not exists {{ times }} (
                unique_id varchar(400), began_at timestamp, ended_at timestamp, checksum varchar(64)
            )
        {%- endcall -%}
        {%- if names -%}
            {%- call statement("times_forget", auto_begin=false) -%}
                {{ cadran.forget_rows(times, "unique_id", names) }}
            {%- endcall -%}
            {%- call statement("times_state", auto_begin=false) -%}
                insert into {{ times }} values {{ rows | join(", ") }}
            {%- endcall -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro -%}
