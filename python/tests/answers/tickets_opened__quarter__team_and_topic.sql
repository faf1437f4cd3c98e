-- group_by: metric_time__quarter ticket__team ticket__topic
select
    date_trunc('quarter', timezone('Europe/Paris', timezone('UTC', opened_at)))::date,
    team,
    topic,
    count(*)
from (select distinct * from helpdesk.tickets where opened_at is not null) as tickets
group by all
