{#- Run at the start and at the end of a build, so that what reads the warehouse can tell a whole
    build from one that failed or was killed. Other commands leave the mark alone. -#}
{%- macro mark_build(state) -%}
    {%- if execute and flags.WHICH in ["build", "run", "seed", "snapshot"] -%}
        {%- set mark = api.Relation.create(
            database=target.database, schema="governance", identifier="build_marks"
        ) -%}
        {%- do adapter.create_schema(mark.without_identifier()) -%}
        {%- call statement("mark_table", auto_begin=false) -%}
            create table if not exists {{ mark }} (
                state varchar(20), invocation_id varchar(64), marked_at timestamp
            )
        {%- endcall -%}
        {%- call statement("mark_forget", auto_begin=false) -%} delete from {{ mark }} {%- endcall -%}
        {%- call statement("mark_state", auto_begin=false) -%}
            insert into {{ mark }} values (
                '{{ state }}',
                '{{ invocation_id }}',
                cast('{{ modules.datetime.datetime.now(modules.pytz.utc).strftime("%Y-%m-%d %H:%M:%S") }}' as timestamp)
            )
        {%- endcall -%}
    {%- endif -%}
{%- endmacro -%}
