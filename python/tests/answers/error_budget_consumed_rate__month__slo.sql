-- group_by: metric_time__month slo_slice__slo_id
select date_trunc('month', day), slo_id, sum(bad) / sum(allowed)
from slo_slices
where not excluded
group by 1, 2
