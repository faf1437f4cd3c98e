-- The bad slices of the demo's SLOs, with the first incident that they fell into, if any; minutes
-- that burn at 2 % of 28 days' (or a month's, a quarter's) budget an hour or more.
create view slo_slices_bad as
select
    b.slo_id,
    b.slo,
    b.service_name,
    b.day,
    b.bad,
    b.excluded,
    (
        select arg_min(i.cause, (i.started_at, i.incident_id))
        from incidents_accepted as i
        where
            (b.service_id is null or i.service_id = b.service_id)
            and date_trunc('minute', i.started_at) <= b.minute_at
            and coalesce(i.restored_at >= b.minute_at, true)
    ) as cause,
    b.bad >= least(b.units, b.allowed * 24 * 0.02 * case
        when b.slo like '%_28d' then 28
        when b.slo like '%_month' then 30
        else 90
    end) as is_burning
from slo_slices as b
where b.bad > 0
