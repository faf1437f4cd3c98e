{#-
    A series holds its first and its last instant and each step between them once.
-#}
{%- set first = "cast('2026-03-28 22:00:00' as timestamp)" -%}
{%- set last = "cast('2026-03-30 01:00:00' as timestamp)" -%}
with

{% for grain in ('day', 'hour', 'minute') -%}
    {{ grain }}_series as (
        {{ cadran.time_series(grain, first, last) }}
    ),

{% endfor -%}

cases as (
    {% for grain, expected in (('day', 2), ('hour', 28), ('minute', 1621)) -%}
        select
            '{{ grain }}' as grain,
            count(*) as found,
            count(distinct instant) as found_once,
            {{ expected }} as expected,
            min(instant) as first_instant
        from {{ grain }}_series
        {{ 'union all' if not loop.last }}
    {% endfor %}
)

select * from cases
where found <> expected or found_once <> expected or first_instant <> {{ first }}
