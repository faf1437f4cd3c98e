with

answers as (
    select * from {{ ref('int_satisfaction_answers_checked') }}
    where rejection_reason is null
)

select
    answer_id,
    customer_id,
    ticket_id,
    touchpoint,
    score,
    score >= 4 as is_satisfied,
    answered_at,
    {{ cadran.business_date('answered_at') }} as answered_date
from answers
