-- group_by: metric_time__quarter service__service_name
select date_trunc('quarter', started_at), service_name, avg(well_before)
from incidents_accepted
group by 1, 2
