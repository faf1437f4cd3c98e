{% macro is_complete(period, grain, sources) -%}
    {#- A stamp in the future completes nothing; a source without rows completes nothing either. -#}
    {%- set starts = "cast(cast(" ~ period ~ " as date) as timestamp)" -%}
    {%- set tomorrow = dbt.dateadd("day", 1, "cast(" ~ dbt.current_timestamp() ~ " as timestamp)") -%}
    coalesce(
        {%- for relation, instant, minutes in sources %}
        {{ "and " if not loop.first }}{{ dbt.dateadd(grain, 1, starts) }} <= (
            select {{ dbt.dateadd("minute", minutes, "max(cast(" ~ instant ~ " as timestamp))") }}
            from {{ relation }}
            where cast({{ instant }} as timestamp) <= {{ tomorrow }}
        )
        {%- endfor %},
        false
    )
{%- endmacro %}
