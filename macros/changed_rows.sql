{% macro changed_rows(time, period) -%}
    {%- set whole = "(" ~ time ~ " >= cast('0001-01-01 00:00:00' as timestamp) or " ~ time ~ " is null)" -%}
    {%- set changes = load_relation(cadran.build_changes()) if execute -%}
    {%- if not changes -%}
        {{ return(whole) }}
    {%- endif -%}
    {#- What it was computed from last time, by a build that ended well; changes from before are
        forgotten after the same time. -#}
    {%- set last = run_query(
        "select computed_from, cast(began_at as " ~ dbt.type_string() ~ ") from " ~ changes
        ~ " where unique_id = '" ~ model.unique_id ~ "' and began_at > cast('"
        ~ (modules.datetime.datetime.now(modules.pytz.utc) - modules.datetime.timedelta(days=39))
        .strftime("%Y-%m-%d %H:%M:%S") ~ "' as timestamp) order by began_at desc limit 1"
    ).rows -%}
    {%- if last | length == 0 or last[0][0] != cadran.computed_from() -%}
        {{ return(whole) }}
    {%- endif -%}
    {%- set fact = graph.nodes.values() | selectattr("name", "equalto", model.config.meta.fact)
        | selectattr("resource_type", "equalto", "model") | first -%}
    {%- set since = run_query(
        "select count(*), count(changed_from), cast("
        ~ dbt.date_trunc(period.split("__")[-1], "min(changed_from)") ~ " as " ~ dbt.type_string()
        ~ ") from " ~ changes ~ " where unique_id = '" ~ fact.unique_id ~ "' and (ended_at is null"
        ~ " or ended_at >= cast('" ~ last[0][1] ~ "' as timestamp))"
    ).rows[0] -%}
    {%- if since[0] != since[1] -%}
        {{ return(whole) }}
    {%- endif -%}
    {%- set from = "cast('" ~ (since[2] or "9999-01-01 00:00:00") ~ "' as timestamp)" -%}
    {#- Before that instant rows may have come, and none have gone or changed. -#}
    {%- set counted = run_query(
        "select (select count(*) from " ~ fact.relation_name ~ " where " ~ time ~ " < " ~ from
        ~ " or " ~ time ~ " is null), (select coalesce(sum(fact_rows), 0) from " ~ this ~ " where "
        ~ period ~ " < " ~ from ~ " or " ~ period ~ " is null)"
    ).rows[0] -%}
    {{ return(time ~ " >= " ~ from if counted[0] == counted[1] else whole) }}
{%- endmacro %}
