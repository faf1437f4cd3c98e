{#-
    Of rows with one key a sound one is kept, the first; a row that is broken by itself never
    takes its place, a reference to a rejected row is unknown, and one that is empty is not.
-#}
{%- set staged -%}
(
    select 1 as id, 'a' as parent, 10 as amount, cast(null as {{ cadran.text() }}) as fault, 'kept' as expected
    union all
    select 1, 'a', 11, null, 'id stands more than once'
    union all
    select 2, 'a', 5, 'amount is missing', 'amount is missing'
    union all
    select 2, 'a', 6, null, 'kept'
    union all
    select 3, 'z', 7, null, 'parent is unknown'
    union all
    select 4, null, 8, null, 'kept'
    union all
    select 5, 'a', -1, null, 'amount is absurd'
) as staged_rows
{%- endset -%}
{%- set parents -%}
(
    select 'a' as parent, cast(null as {{ cadran.text() }}) as rejection_reason
    union all
    select 'a', null
    union all
    select 'z', 'name is missing'
) as parents
{%- endset -%}
with

checked as (
    {{ cadran.checked_rows(
        staged,
        key=['id'],
        order_by=['amount'],
        references=[('parent', (cadran.accepted_rows(parents), 'parent'))],
        rules=[('marked.amount < 0', 'amount is absurd')],
    ) | indent(4) }}
),

wrong as (
    select
        'reason' as subject,
        count(*) as found
    from checked
    where coalesce(rejection_reason, 'kept') <> expected
    union all
    select
        'rows' as subject,
        count(*) - 7 as found
    from checked
)

select * from wrong
where found <> 0
