select day::date as date_day
from range(date '2026-01-01', date '2026-08-01', interval 1 day) as t (day)
