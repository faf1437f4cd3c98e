{% macro accepted_rows(checked) -%}
    (select * from {{ checked }} where rejection_reason is null) as accepted
{%- endmacro %}
