{%- set columns = {
    'slo_id': dbt.type_string(),
    'time_zone': dbt.type_string(),
    'valid_from_date': 'date',
    'target': 'decimal(8, 7)',
} -%}
{%- set rows = [] -%}
{%- for entry in cadran.slo_entries() if not entry.members -%}
    {#- One number holds from ever on; a list says from which day each target holds. -#}
    {%- set steps = [{'from': '1970-01-01', 'target': entry.objective}] -%}
    {%- if entry.objective is iterable and entry.objective is not string -%}
        {%- set steps = entry.objective -%}
    {%- endif -%}
    {%- for step in steps -%}
        {%- do rows.append({
            'slo_id': entry.slo_id,
            'time_zone': entry.time_zone,
            'valid_from_date': '1970-01-01' if loop.first else step['from'],
            'target': step.target,
        }) -%}
    {%- endfor -%}
{%- endfor %}

{{ cadran.literal_rows(columns, rows) }}
