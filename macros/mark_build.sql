{#- Run at the start and at the end of a build, so that what reads the warehouse can tell a whole
    build from one that failed or was killed. Other commands leave the marks alone.

    `build_marks` has one row, about the last build. `build_pending` has a row for each model, seed,
    snapshot or test that a build began and that none has ended well since: a KPI that rests on one
    of them is not published, whatever was built beside it. -#}
{%- macro mark_build(state, bad=[]) -%}
    {%- if execute and flags.WHICH in ["build", "run", "seed", "snapshot"] -%}
        {%- set schema = cadran.marks_schema() -%}
        {%- set mark = api.Relation.create(
            database=target.database, schema=schema, identifier="build_marks"
        ) -%}
        {%- set pending = api.Relation.create(
            database=target.database, schema=schema, identifier="build_pending"
        ) -%}
        {%- set now -%}
            cast('{{ modules.datetime.datetime.now(modules.pytz.utc).strftime("%Y-%m-%d %H:%M:%S") }}' as timestamp)
        {%- endset -%}
        {%- set names = [] -%}
        {%- for name in selected_resources
            if name.split(".")[0] in ["model", "seed", "snapshot", "test", "unit_test"] -%}
            {%- do names.append(name) -%}
        {%- endfor -%}
        {%- set begun = names if state == "building" else bad -%}
        {%- do adapter.create_schema(mark.without_identifier()) -%}
        {%- call statement("mark_table", auto_begin=false) -%}
            create table if not exists {{ mark }} (
                state varchar(20), invocation_id varchar(64), marked_at timestamp
            )
        {%- endcall -%}
        {%- call statement("pending_table", auto_begin=false) -%}
            create table if not exists {{ pending }} (
                unique_id varchar(400), state varchar(20), marked_at timestamp
            )
        {%- endcall -%}
        {%- if state == "building" -%}
            {{ cadran.mark_changes(names, now) }}
        {%- endif -%}
        {%- call statement("mark_forget", auto_begin=false) -%} {{ cadran.forget_rows(mark) }} {%- endcall -%}
        {%- if names -%}
            {%- call statement("pending_forget", auto_begin=false) -%}
                {{ cadran.forget_rows(pending, "unique_id", names) }}
            {%- endcall -%}
        {%- endif -%}
        {%- if begun -%}
            {%- call statement("pending_state", auto_begin=false) -%}
                insert into {{ pending }} values
                {% for name in begun -%}
                    ('{{ name }}', '{{ state }}', {{ now }}){{ "," if not loop.last }}
                {%- endfor %}
            {%- endcall -%}
        {%- endif -%}
        {%- call statement("mark_state", auto_begin=false) -%}
            insert into {{ mark }} values ('{{ state }}', '{{ invocation_id }}', {{ now }})
        {%- endcall -%}
    {%- endif -%}
{%- endmacro -%}
