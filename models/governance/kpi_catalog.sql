{%- set text = dbt.type_string() -%}
{%- set columns = {
    'kpi': text,
    'label_en': text,
    'label_fr': text,
    'definition_en': text,
    'definition_fr': text,
    'formula_en': text,
    'formula_fr': text,
    'tier': text,
    'objective': text,
    'scope': text,
    'owner_business': text,
    'owner_technical': text,
    'status': text,
    'unit': text,
    'direction': text,
    'decimals': dbt.type_int(),
    'additivity': text,
    'refresh_every': text,
    'refresh_late_after': text,
    'not_for_en': text,
    'not_for_fr': text,
    'review_by': 'date',
    'version': dbt.type_int(),
    'replaced_by': text,
    'sunset': 'date',
    'metric_type': text,
    'models': text,
    'sources': text,
    'project': text,
    'file_path': text,
} -%}
{%- set rows = [] -%}
{%- for metric in cadran.kpi_nodes() -%}
    {%- set card = metric.config.meta.kpi -%}
    {%- set french = card.fr or {} -%}
    {%- set owner = card.owner or {} -%}
    {%- set refresh = card.refresh or {} -%}
    {%- set lineage = cadran.kpi_lineage(metric) -%}
    {%- do rows.append({
        'kpi': metric.name,
        'label_en': metric.label,
        'label_fr': french.label,
        'definition_en': metric.description,
        'definition_fr': french.description,
        'formula_en': card.formula,
        'formula_fr': french.formula,
        'tier': card.tier,
        'objective': card.objective,
        'scope': card.scope,
        'owner_business': owner.business,
        'owner_technical': owner.technical,
        'status': card.status,
        'unit': card.unit,
        'direction': card.direction,
        'decimals': card.decimals,
        'additivity': card.additivity,
        'refresh_every': refresh.every,
        'refresh_late_after': refresh.late_after,
        'not_for_en': card.not_for | join('; ') if card.not_for else none,
        'not_for_fr': french.not_for | join('; ') if french.not_for else none,
        'review_by': card.review_by,
        'version': card.version,
        'replaced_by': card.replaced_by,
        'sunset': card.sunset,
        'metric_type': metric.type,
        'models': lineage.models | join(', ') or none,
        'sources': lineage.sources | join(', ') or none,
        'project': metric.package_name,
        'file_path': metric.original_file_path,
    }) -%}
{%- endfor -%}

{{ cadran.literal_rows(columns, rows) }}
