{#-
    Every raw row is either accepted or rejected, once: nothing is lost, nothing is doubled.

    model: the rejected rows; accepted: the mart; staged: the staging view, one row per raw row.
-#}
{% test accepted_plus_rejected_is_raw(model, accepted, staged) %}
    with counts as (
        select
            (select count(*) from {{ staged }}) as raw_rows,
            (select count(*) from {{ accepted }}) as accepted_rows,
            (select count(*) from {{ model }}) as rejected_rows
    )

    select * from counts
    where raw_rows <> accepted_rows + rejected_rows
{% endtest %}
