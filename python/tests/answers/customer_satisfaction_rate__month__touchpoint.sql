-- group_by: metric_time__month answer__touchpoint
-- An answer counts once, with a score of 1 to 5, and only when the ticket it names was opened.
select
    date_trunc('month', (answered_at at time zone 'UTC') at time zone 'Europe/Paris')::date,
    touchpoint,
    avg(case when score > 3 then 1.0 else 0.0 end)
from (select distinct on (answer_id) * from helpdesk.satisfaction_answers where score > 0) as answers
where
    ticket_id is null
    or ticket_id in (select ticket_id from helpdesk.tickets where opened_at is not null)
group by all
