select
    'T' || i as trip_id,
    'P' || (i % 3) as port_id,
    date '2026-01-01' + (i * 2 % 210)::int as departed_on,
    case i % 3 when 0 then 'O''Brien & Sons' when 1 then 'Ünal "Fast"' else null end as operator,
    (i % 40)::bigint as passengers,
    (i % 7 > 0) as is_punctual,
    (100 + i % 50 + 0.25)::decimal(14, 2) as fare_amount
from range(0, 600) as t (i)
