-- group_by: metric_time__month
select date_trunc('month', started_at), avg(well_before)
from incidents_accepted
group by 1
