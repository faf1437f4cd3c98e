-- group_by: metric_time__month service__team
select date_trunc('month', day), team, sum(bad) / sum(allowed)
from slo_slices
group by 1, 2
