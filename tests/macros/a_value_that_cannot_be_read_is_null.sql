{#-
    A cast of what a file holds never stops a build: what cannot be read is null.
-#}
with

cases as (
    select
        'a number' as subject,
        {{ cadran.safe_cast("'12.50'", 'decimal(18, 2)') }} = 12.5 as holds
    union all
    select
        'not a number' as subject,
        {{ cadran.safe_cast("'twelve'", 'decimal(18, 2)') }} is null as holds
    union all
    select
        'a time' as subject,
        {{ cadran.safe_cast("'2026-02-03 04:05:06'", 'timestamp') }}
        = cast('2026-02-03 04:05:06' as timestamp) as holds
    union all
    select
        'a day that does not exist' as subject,
        {{ cadran.safe_cast("'2026-02-30 00:00:00'", 'timestamp') }} is null as holds
)

select * from cases
where not holds
