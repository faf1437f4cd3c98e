{% macro since_last(time_column, hours) -%}
    {{ time_column }} >= (
        select {{ dbt.dateadd('hour', -hours, 'max(' ~ time_column ~ ')') }}
        from {{ this }}
    )
{%- endmacro %}
