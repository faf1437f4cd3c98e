-- group_by: metric_time__week ticket__team
with
teams as (
    select ticket_id, min(team) as team from helpdesk.tickets
    where opened_at is not null
    group by ticket_id
),
answers as (
    select
        answer_id,
        min(ticket_id) as ticket_id,
        min(score) as score,
        min(timezone('Europe/Paris', timezone('UTC', answered_at)))::date as day
    from helpdesk.satisfaction_answers
    where score between 1 and 5
    group by answer_id
)
select
    answers.day - (isodow(answers.day)::integer - 1) as week,
    teams.team,
    count(*) filter (answers.score in (4, 5)) / count(*)
from answers
left join teams on answers.ticket_id = teams.ticket_id
where answers.ticket_id is null or teams.ticket_id is not null
group by all
