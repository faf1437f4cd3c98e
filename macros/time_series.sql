{% macro time_series(grain, first, last) -%}
    {{ return(adapter.dispatch('time_series', 'cadran')(grain, first, last)) }}
{%- endmacro %}


{% macro default__time_series(grain, first, last) -%}
    {# Seven digits count ten million steps: nineteen years of minutes. #}
    with digits as (
        {% for digit in range(10) -%}
        select {{ digit }} as digit {{ 'union all' if not loop.last }}
        {% endfor %}
    ),

    steps as (
        select
            d0.digit + 10 * d1.digit + 100 * d2.digit + 1000 * d3.digit
            + 10000 * d4.digit + 100000 * d5.digit + 1000000 * d6.digit as step
        from digits as d0
        cross join digits as d1
        cross join digits as d2
        cross join digits as d3
        cross join digits as d4
        cross join digits as d5
        cross join digits as d6
    )

    select {{ dbt.dateadd(grain, 'step', first) }} as instant
    from steps
    where {{ dbt.dateadd(grain, 'step', first) }} <= {{ last }}
{%- endmacro %}


{% macro duckdb__time_series(grain, first, last) -%}
    select unnest(generate_series({{ first }}, {{ last }}, interval 1 {{ grain }})) as instant
{%- endmacro %}


{% macro postgres__time_series(grain, first, last) -%}
    {#- Of dates it would give times with a zone. -#}
    select generate_series(
        cast({{ first }} as timestamp), cast({{ last }} as timestamp), interval '1 {{ grain }}'
    ) as instant
{%- endmacro %}


{% macro spark__time_series(grain, first, last) -%}
    select explode(sequence(bounds.first_at, bounds.last_at, interval 1 {{ grain }})) as instant
    from (select {{ first }} as first_at, {{ last }} as last_at) as bounds
    where bounds.first_at <= bounds.last_at
{%- endmacro %}
