{#-
    Quotes, accents, signs of other scripts and text that looks like SQL come back as they were.
-#}
with

rows_written as (
    {{ cadran.literal_rows(
        {'id': dbt.type_int(), 'value': dbt.type_string(), 'day': 'date'},
        [
            {'id': 1, 'value': "Chiffre d'affaires « net »", 'day': '2026-02-03'},
            {'id': 2, 'value': 'a "quoted" word', 'day': none},
            {'id': 3, 'value': "'); drop table kpis; --"},
            {'id': 4, 'value': '客户 😀 \\ backslash'},
            {'id': 5, 'value': '  blanks around  '},
            {'id': 6, 'value': none},
        ]
    ) }}
),

no_rows_written as (
    {{ cadran.literal_rows({'id': dbt.type_int()}, []) }}
),

cases as (
    select
        'text' as subject,
        count(*) as found,
        6 as expected
    from rows_written
    where
        (id = 1 and length(value) = 26 and value like 'Chiffre d_affaires « net »')
        or (id = 2 and value = 'a "quoted" word')
        or (id = 3 and length(value) = 23)
        or (id = 4 and length(value) = 16)
        or (id = 5 and value = 'blanks around')
        or (id = 6 and value is null)
    union all
    select
        'dates' as subject,
        count(*) as found,
        1 as expected
    from rows_written
    where day = cast('2026-02-03' as date)
    union all
    select
        'no rows' as subject,
        count(*) as found,
        0 as expected
    from no_rows_written
)

select * from cases
where found <> expected
