{% macro source_files(source_name, table_name) %}
    {% set stem = cadran.source_place(source_name).rstrip('/') ~ '/' ~ source_name ~ '/' ~ table_name %}
    {% set found = run_query(
        "select file from glob('" ~ stem ~ ".*') union all "
        ~ "select file from glob('" ~ stem ~ "/**')"
    ).columns[0].values() %}
    {% for ending, reader in [
        ('.parquet', 'read_parquet({}, union_by_name = true)'),
        ('.csv', 'read_csv({}, all_varchar = true, union_by_name = true)'),
        ('.csv.gz', 'read_csv({}, all_varchar = true, union_by_name = true)'),
    ] %}
        {% set files = found | select('string') | map('string') | list %}
        {% set matching = [] %}
        {% for file in files if file.endswith(ending) %}
            {% do matching.append(file) %}
        {% endfor %}
        {% if matching %}
            {% set one_file = stem ~ ending %}
            {% set pattern = one_file if one_file in matching else stem ~ '/**/*' ~ ending %}
            {{ return(reader.replace('{}', "'" ~ pattern ~ "'")) }}
        {% endif %}
    {% endfor %}
    {{ return(none) }}
{% endmacro %}
