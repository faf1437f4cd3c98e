select
    1 as sale_id,
    'ann' as customer_id,
    3 as loaves,
    cast('2026-01-31 23:30:00' as timestamp) as sold_at,
    {{ cadran.business_date("cast('2026-01-31 23:30:00' as timestamp)") }} as sold_date
union all
select
    2 as sale_id,
    'bob' as customer_id,
    2 as loaves,
    cast('2026-02-02 08:00:00' as timestamp) as sold_at,
    {{ cadran.business_date("cast('2026-02-02 08:00:00' as timestamp)") }} as sold_date
