{%- set columns = {
    'slo_id': dbt.type_string(),
    'member_slo_id': dbt.type_string(),
    'weight': 'decimal(18, 6)',
} -%}
{%- set rows = [] -%}
{%- for entry in cadran.slo_entries() if entry.members -%}
    {%- for member, weight in entry.members.items() -%}
        {%- do rows.append({'slo_id': entry.slo_id, 'member_slo_id': member, 'weight': weight}) -%}
    {%- endfor -%}
{%- endfor -%}

{{ cadran.literal_rows(columns, rows) }}
