-- group_by: metric_time__quarter incident__severity
with ranked as (
    select
        date_trunc('quarter', started_at) as period, severity as member,
        to_restore as hours,
        row_number() over (peers order by to_restore) - 1 as place,
        0.9 * (count(*) over peers - 1) as wanted
    from incidents_accepted
    where to_restore is not null
    window peers as (partition by date_trunc('quarter', started_at), severity)
)
-- The value at the wanted place, between its two neighbours in proportion.
select period, member, sum(hours * greatest(0, 1 - abs(place - wanted)))
from ranked
group by 1, 2
