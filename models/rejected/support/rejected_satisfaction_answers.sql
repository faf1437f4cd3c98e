select * from {{ ref('int_satisfaction_answers_checked') }}
where rejection_reason is not null
