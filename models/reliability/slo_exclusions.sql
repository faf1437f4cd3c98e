{#- Every row of the register with what becomes of it: nothing is dropped in silence. -#}
with

exclusions as (
    {{ cadran.seed_rows('cadran_slo_exclusions', {
        'exclusion_id': dbt.type_string(),
        'slo': dbt.type_string(),
        'subject': dbt.type_string(),
        'kind': dbt.type_string(),
        'starts_at': 'timestamp',
        'ends_at': 'timestamp',
        'announced_at': 'timestamp',
        'notice_hours': dbt.type_int(),
        'cap_minutes': dbt.type_int(),
        'approver': dbt.type_string(),
        'reason': dbt.type_string(),
    }) }}
)

select
    *,
    case
        when approver is null or trim(approver) = '' then 'unapproved'
        when reason is null or trim(reason) = '' then 'without reason'
        when ends_at <= starts_at then 'ends before it starts'
        when
            notice_hours is not null
            and (
                announced_at is null
                or {{ dbt.dateadd('hour', 'notice_hours', 'announced_at') }} > starts_at
            )
            then 'notice too short'
        else 'counted'
    end as judgement
from exclusions
