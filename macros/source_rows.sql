{% macro source_rows(source_name, table_name) %}
    {{ return(adapter.dispatch('source_rows', 'cadran')(source_name, table_name)) }}
{% endmacro %}


{% macro default__source_rows(source_name, table_name) %}
    {#- Tables of the warehouse; `cadran load` makes them of files. -#}
    {% set relation = source(source_name, table_name) %}
    {% if not execute or cadran.source_place(source_name) == 'contract' %}
        {{ return(relation) }}
    {% endif %}
    {% if not load_relation(relation) %}
        {{ exceptions.raise_compiler_error(
            "No data for the source '" ~ source_name ~ "." ~ table_name ~ "': there is no table "
            ~ relation ~ ". `cadran load` fills it from the files that cadran_sources names; or name"
            ~ " the schema that holds it: `cadran_sources: {" ~ source_name ~ ": \"schema:<name>\"}`."
        ) }}
    {% endif %}
    {{ return(cadran.with_optional_columns(relation, source_name, table_name)) }}
{% endmacro %}


{% macro duckdb__source_rows(source_name, table_name) %}
    {# Named in every case, so that lineage begins at the source. #}
    {% set relation = source(source_name, table_name) %}
    {% if not execute %}
        {{ return(relation) }}
    {% endif %}
    {% set place = cadran.source_place(source_name) %}
    {% if place == 'contract' %}
        {# Compiled to be read and not to be run: what a model means does not hang on where data lie. #}
        {{ return(relation) }}
    {% endif %}
    {% if place.startswith('schema:') %}
        {{ return(cadran.with_optional_columns(relation, source_name, table_name)) }}
    {% endif %}

    {% set files = cadran.source_files(source_name, table_name) %}
    {% if files %}
        {{ return(cadran.with_optional_columns(files, source_name, table_name)) }}
    {% endif %}
    {% set stem = place.rstrip('/') ~ '/' ~ source_name ~ '/' ~ table_name %}
    {{ exceptions.raise_compiler_error(
        "No data for the source '" ~ source_name ~ "." ~ table_name ~ "': found neither "
        ~ stem ~ ".parquet, .csv or .csv.gz nor such files in " ~ stem
        ~ "/. Put the file there, point cadran_sources elsewhere, or take the domain out of "
        ~ "cadran_domains; `cadran doctor` lists everything that is missing."
    ) }}
{% endmacro %}


{% macro spark__source_rows(source_name, table_name) %}
    {% set relation = source(source_name, table_name) %}
    {% if not execute %}
        {{ return(relation) }}
    {% endif %}
    {% set place = cadran.source_place(source_name) %}
    {% if place == 'contract' %}
        {{ return(relation) }}
    {% endif %}
    {% if place.startswith('schema:') %}
        {{ return(cadran.with_optional_columns(relation, source_name, table_name)) }}
    {% endif %}
    {#- Parquet alone: a CSV file says nothing of its types, and is better loaded into a table. The
        file or the folder of that name, whichever there is. #}
    {% set files = "parquet.`" ~ place.rstrip('/') ~ '/' ~ source_name ~ '/' ~ table_name ~ "{.parquet,}`" %}
    {{ return(cadran.with_optional_columns(files, source_name, table_name)) }}
{% endmacro %}
