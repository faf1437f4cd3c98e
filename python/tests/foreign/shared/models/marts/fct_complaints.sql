select
    'C' || i as complaint_id,
    'T' || (i * 5) as trip_id,
    date '2026-01-03' + (i * 10 % 205)::int as filed_on
from range(0, 60) as t (i)
