{% macro source_rows(source_name, table_name) %}
    {{ return(adapter.dispatch('source_rows', 'cadran')(source_name, table_name)) }}
{% endmacro %}


{% macro default__source_rows(source_name, table_name) %}
    {{ return(source(source_name, table_name)) }}
{% endmacro %}


{% macro duckdb__source_rows(source_name, table_name) %}
    {# Named in every case, so that lineage begins at the source. #}
    {% set relation = source(source_name, table_name) %}
    {% if not execute %}
        {{ return(relation) }}
    {% endif %}
    {% set place = cadran.source_place(source_name) %}
    {% if place.startswith('schema:') %}
        {{ return(cadran.with_optional_columns(relation, source_name, table_name)) }}
    {% endif %}

    {% set stem = place.rstrip('/') ~ '/' ~ source_name ~ '/' ~ table_name %}
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
            {% set rows = reader.replace('{}', "'" ~ pattern ~ "'") %}
            {{ return(cadran.with_optional_columns(rows, source_name, table_name)) }}
        {% endif %}
    {% endfor %}
    {{ exceptions.raise_compiler_error(
        "No data for the source '" ~ source_name ~ "." ~ table_name ~ "': found neither "
        ~ stem ~ ".parquet, .csv or .csv.gz nor such files in " ~ stem
        ~ "/. Put the file there, point cadran_sources elsewhere, or take the domain out of "
        ~ "cadran_domains; `cadran doctor` lists everything that is missing."
    ) }}
{% endmacro %}
