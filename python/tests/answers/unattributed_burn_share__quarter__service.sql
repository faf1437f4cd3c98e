-- group_by: metric_time__quarter service__service_name
select
    date_trunc('quarter', day), service_name,
    coalesce(sum(bad) filter (cause is null), 0) / sum(bad)
from slo_slices_bad
where not excluded
group by 1, 2
