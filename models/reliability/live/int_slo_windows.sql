{#- The budget window of each SLO and every window of its alert policy, up to its watermark. -#}
with

slo_definitions as (
    select * from {{ ref('slo_definitions') }}
    where not is_composite
),

watermarks as (
    select * from {{ ref('int_sli_watermarks') }}
),

tiers as (
    select * from {{ ref('slo_alert_tiers') }}
),

slos as (
    select
        slo_definitions.*,
        watermarks.watermark_at
    from slo_definitions
    inner join watermarks
        on
            slo_definitions.kpi = watermarks.kpi
            and slo_definitions.subject_kind = watermarks.subject_kind
    where watermarks.watermark_at is not null
),

{# The period that the last complete minute lies in. -#}
local_periods as (
    select
        slos.*,
        case slos.calendar_grain
            {% for grain in ['week', 'month', 'quarter', 'year'] -%}
                when '{{ grain }}' then {{ dbt.date_trunc(grain, cadran.local_time(
                dbt.dateadd('minute', -1, 'slos.watermark_at'), 'slos.time_zone'
            )) }}
            {% endfor -%}
        end as local_start
    from slos
),

burn_lengths as (
    select
        slo_id,
        long_minutes as window_minutes
    from tiers
    union
    select
        slo_id,
        short_minutes as window_minutes
    from tiers
    union
    select
        slo_id,
        60 as window_minutes
    from slo_definitions
)

select
    slo_id,
    'budget' as window_use,
    cast(null as integer) as window_minutes,
    case
        when window_kind = 'rolling' then {{ dbt.dateadd(
            'minute', '-1 * window_minutes', 'watermark_at'
        ) }}
        else {{ cadran.utc_time('local_start', 'time_zone') }}
    end as starts_at,
    watermark_at as ends_at
from local_periods
union all
select
    burn_lengths.slo_id,
    'burn' as window_use,
    burn_lengths.window_minutes,
    {{ dbt.dateadd('minute', '-1 * burn_lengths.window_minutes', 'slos.watermark_at') }}
        as starts_at,
    slos.watermark_at as ends_at
from burn_lengths
inner join slos
    on burn_lengths.slo_id = slos.slo_id
