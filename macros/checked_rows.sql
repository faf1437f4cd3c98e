{% macro checked_rows(staged, key, order_by, references=[], rules=[]) -%}
    with staged as (
        select * from {{ staged }}
    ),

    {% for column, parent in references -%}
    known_{{ column }} as (
        select distinct {{ parent[1] }} as {{ column }} from {{ parent[0] }}
    ),

    {% endfor -%}
    marked as (
        select
            staged.*
            {%- for column, parent in references %},
            case
                when staged.{{ column }} is not null and known_{{ column }}.{{ column }} is null
                    then 1
                else 0
            end as lacks_{{ column }}
            {%- endfor %}
        from staged
        {%- for column, parent in references %}
        left join known_{{ column }}
            on staged.{{ column }} = known_{{ column }}.{{ column }}
        {%- endfor %}
    ),

    judged as (
        select
            marked.*,
            case
                when marked.fault is not null then marked.fault
                {%- for condition, reason in rules %}
                when {{ condition }} then '{{ reason }}'
                {%- endfor %}
                {%- for column, parent in references %}
                when marked.lacks_{{ column }} = 1 then '{{ column }} is unknown'
                {%- endfor %}
            end as broken_rule
        from marked
    ),

    {# Only rows without any other fault compete for their key: a broken row never displaces
       a sound one. -#}
    ranked as (
        select
            judged.*,
            row_number() over (
                partition by
                    {% for column in key -%}
                    judged.{{ column }},
                    {% endfor -%}
                    case when judged.broken_rule is null then 1 else 0 end
                order by {% for column in order_by -%}
                    judged.{{ column }}{{ ', ' if not loop.last }}
                {%- endfor %}
            ) as occurrence
        from judged
    )

    select
        ranked.*,
        case
            when ranked.broken_rule is not null then ranked.broken_rule
            when ranked.occurrence > 1 then '{{ key | join(", ") }} stands more than once'
        end as rejection_reason
    from ranked
{%- endmacro %}
