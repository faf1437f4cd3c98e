-- group_by: metric_time__month service__team
select date_trunc('month', day), team, 1 - sum(bad) / sum(units)
from slo_slices
group by 1, 2
