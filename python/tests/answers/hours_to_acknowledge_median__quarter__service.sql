-- group_by: metric_time__quarter service__service_name
with ranked as (
    select
        date_trunc('quarter', started_at) as period, service_name as member,
        to_acknowledge as hours,
        row_number() over (peers order by to_acknowledge) - 1 as place,
        0.5 * (count(*) over peers - 1) as wanted
    from incidents_accepted
    where to_acknowledge is not null
    window peers as (partition by date_trunc('quarter', started_at), service_name)
)
-- The value at the wanted place, between its two neighbours in proportion.
select period, member, sum(hours * greatest(0, 1 - abs(place - wanted)))
from ranked
group by 1, 2
