{#-
    A pre-aggregate counts each row of its fact once, in its column `fact_rows`.

    fact: the relation of the fact.
-#}
{% test counts_rows_of(model, fact) %}
    with counted as (
        select coalesce(sum(fact_rows), 0) as row_count from {{ model }}
    ),

    present as (
        select count(*) as row_count from {{ fact }}
    )

    select
        counted.row_count as counted_rows,
        present.row_count as fact_rows
    from counted
    cross join present
    where counted.row_count != present.row_count
{% endtest %}
