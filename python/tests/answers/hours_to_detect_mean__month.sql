-- group_by: metric_time__month
select date_trunc('month', started_at), avg(to_detect)
from incidents_accepted
group by 1
