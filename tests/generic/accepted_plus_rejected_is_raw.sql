{#-
    Every raw row is either accepted or rejected, once: nothing is lost, nothing is doubled.

    model: the rejected rows; accepted: the mart; staged: the staging view, one row per raw row;
    landed_by: the column of the time by which rows go on landing while a build runs, if they do.
    Rows of the two hours before the build are then left to the next one.
-#}
{% test accepted_plus_rejected_is_raw(model, accepted, staged, landed_by=none) %}
    {%- set are_settled = "where " ~ cadran.has_settled(landed_by) if landed_by else "" %}
    with counts as (
        select
            (select count(*) from {{ staged }} {{ are_settled }}) as raw_rows,
            (select count(*) from {{ accepted }} {{ are_settled }}) as accepted_rows,
            (select count(*) from {{ model }} {{ are_settled }}) as rejected_rows
    )

    select * from counts
    where raw_rows <> accepted_rows + rejected_rows
{% endtest %}
