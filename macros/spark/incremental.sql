{#-
    Replaces whole days of a table that is partitioned by the day of its `event_time`: the days that
    come again are overwritten, and those from which nothing comes any more go. What is new is built
    beside first, for it may read what it replaces; whatever stops the build, the old days stand.
-#}
{% materialization incremental, adapter='spark', supported_languages=['sql'] %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set old = load_relation(this) -%}
    {%- set column = config.require('event_time') -%}
    {%- set day = column ~ '_day' -%}
    {{ run_hooks(pre_hooks) }}
    {#- One file a day. -#}
    {%- set sql -%}
        select *, cast({{ column }} as date) as {{ day }} from (
            {{ compiled_code }}
        ) as built
        distribute by {{ day }}
    {%- endset -%}
    {%- if old is none or old.is_view or should_full_refresh() -%}
        {%- do cadran.spark_put_in_place(
            cadran.spark_build_beside(target_relation, sql, day), target_relation
        ) -%}
    {%- else -%}
        {%- set from = cadran.read_again_from(target_relation, column) -%}
        {%- set built = cadran.spark_build_beside(target_relation, sql, day) -%}
        {%- do cadran.spark_replace_days(built, target_relation, day, column, from) -%}
    {%- endif -%}
    {% do persist_docs(target_relation, model) %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
