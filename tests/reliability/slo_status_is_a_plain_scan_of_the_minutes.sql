{#-
    What a status adds up from hours and minutes at the edges is what a scan of all minutes of its
    window adds up, net and gross, for each window of budget and burn.
-#}
with

window_sums as (
    select * from {{ ref('int_slo_window_sums') }}
),

{# What is before the first window is in none, and a planner may read the rest once a window. #}
slices as (
    select * from {{ ref('fct_slo_slices_minutely') }}
    where minute_at >= (select min(window_sums.starts_at) from window_sums)
),

scanned as (
    select
        window_sums.slo_id,
        window_sums.window_use,
        coalesce(window_sums.window_minutes, 0) as window_minutes,
        coalesce(sum(case when not slices.is_excluded then slices.units end), 0) as units,
        coalesce(sum(case when not slices.is_excluded then slices.bad_units end), 0) as bad_units,
        coalesce(sum(case when not slices.is_excluded then slices.allowed_units end), 0)
            as allowed_units,
        coalesce(sum(slices.units), 0) as gross_units,
        coalesce(sum(slices.bad_units), 0) as gross_bad_units,
        coalesce(sum(slices.allowed_units), 0) as gross_allowed_units
    from window_sums
    left join slices
        on
            window_sums.slo_id = slices.slo_id
            and window_sums.starts_at <= slices.minute_at
            and window_sums.ends_at > slices.minute_at
    group by
        window_sums.slo_id,
        window_sums.window_use,
        coalesce(window_sums.window_minutes, 0)
)

select
    scanned.slo_id,
    scanned.window_use,
    scanned.window_minutes
from scanned
inner join window_sums
    on
        scanned.slo_id = window_sums.slo_id
        and scanned.window_use = window_sums.window_use
        and scanned.window_minutes = coalesce(window_sums.window_minutes, 0)
where
    scanned.units <> window_sums.units
    or scanned.bad_units <> window_sums.bad_units
    or scanned.allowed_units <> window_sums.allowed_units
    or scanned.gross_units <> window_sums.gross_units
    or scanned.gross_bad_units <> window_sums.gross_bad_units
    or scanned.gross_allowed_units <> window_sums.gross_allowed_units
