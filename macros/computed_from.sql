{% macro computed_from() -%}
    {%- set parts = [model.checksum.checksum] -%}
    {%- for name in model.depends_on.nodes | sort if name.split(".")[-1] != model.config.meta.fact -%}
        {#- Row by row as text, in 256 heaps: a text has an end. -#}
        {%- do parts.append(run_query(
            "select md5(string_agg(heap, '' order by heap)) from ("
            ~ "select md5(string_agg(row_hash, '' order by row_hash)) as heap from ("
            ~ "select md5(cast(one as text)) as row_hash from "
            ~ graph.nodes[name].relation_name ~ " as one"
            ~ ") as hashed group by substr(row_hash, 1, 2)) as heaps"
        ).columns[0].values()[0] | string) -%}
    {%- endfor -%}
    {{ return(local_md5(parts | join(" "))) }}
{%- endmacro %}
