{%- set text = dbt.type_string() -%}
{%- set columns = {
    'slo_id': text,
    'slo': text,
    'kpi': text,
    'label_en': text,
    'label_fr': text,
    'subject_kind': text,
    'subject': text,
    'is_composite': 'boolean',
    'window_kind': text,
    'window_minutes': dbt.type_int(),
    'calendar_grain': text,
    'time_zone': text,
    'budgeting': text,
    'slice_target': 'decimal(8, 7)',
    'no_data': text,
    'alert_policy': text,
    'owner': text,
    'slice_rule': text,
} -%}
{%- set rows = [] -%}
{%- for entry in cadran.slo_entries() -%}
    {%- do rows.append(dict(entry, **{
        'subject_kind': entry.by or 'all',
        'is_composite': 'true' if entry.members else 'false',
        'slice_rule': [
            entry.kpi, entry.by or 'all', entry.budgeting, entry.slice_target, entry.no_data,
            entry.time_zone,
        ] | join('/'),
    })) -%}
{%- endfor -%}

{{ cadran.literal_rows(columns, rows) }}
