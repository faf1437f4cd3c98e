-- group_by: metric_time__quarter service__service_name
select date_trunc('quarter', day), service_name, sum(bad) / sum(allowed)
from slo_slices
where not excluded
group by 1, 2
