-- group_by: metric_time__month
with ranked as (
    select
        date_trunc('month', started_at) as period,
        to_detect as hours,
        row_number() over (peers order by to_detect) - 1 as place,
        0.5 * (count(*) over peers - 1) as wanted
    from incidents_accepted
    where to_detect is not null
    window peers as (partition by date_trunc('month', started_at))
)
-- The value at the wanted place, between its two neighbours in proportion.
select period, sum(hours * greatest(0, 1 - abs(place - wanted)))
from ranked
group by 1
