{#- What each incident cost, as it was last estimated. The estimates rest on placebos, which are no
    SQL: `cadran impact --publish` makes them. -#}
with

impacts as (
    select * from {{ ref('stg_impact__incident_impacts') }}
),

{# A publication holds every incident, so what it no longer holds is no incident any more. #}
newest as (
    select max(published_at) as published_at from impacts
),

final as (
    select impacts.*
    from impacts
    inner join newest on impacts.published_at = newest.published_at
)

select * from final
