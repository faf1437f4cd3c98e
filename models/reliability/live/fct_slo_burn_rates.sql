with

window_sums as (
    select * from {{ ref('int_slo_window_sums') }}
    where window_use = 'burn'
)

select
    slo_id,
    window_minutes,
    ends_at as as_of,
    units,
    bad_units,
    {{ cadran.share('bad_units', 'allowed_units') }} as burn_rate
from window_sums
