-- group_by: metric_time__day slo_slice__slo
select date_trunc('day', day), slo, sum(bad) / sum(allowed)
from slo_slices
group by 1, 2
