-- group_by: metric_time__month slo_burn__slo_id
select date_trunc('month', day), slo_id, count(*) filter (is_burning)
from slo_slices_bad
where not excluded
group by 1, 2
