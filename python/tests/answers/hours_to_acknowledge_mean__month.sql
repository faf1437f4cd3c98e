-- group_by: metric_time__month
select date_trunc('month', started_at), avg(to_acknowledge)
from incidents_accepted
group by 1
