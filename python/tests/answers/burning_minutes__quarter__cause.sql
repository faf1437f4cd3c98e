-- group_by: metric_time__quarter slo_burn__cause
select date_trunc('quarter', day), coalesce(cause, 'unattributed'), count(*) filter (is_burning)
from slo_slices_bad
where not excluded
group by 1, 2
