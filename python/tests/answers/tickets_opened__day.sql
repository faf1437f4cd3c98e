-- group_by: metric_time__day
select
    (opened_at at time zone 'UTC' at time zone 'Europe/Paris')::date,
    count(distinct ticket_id)
from helpdesk.tickets
where opened_at is not null
group by all
