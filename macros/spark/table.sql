{#-
    Builds a table beside the old one and then puts it in its place, so that a build that is stopped
    leaves what there was: dbt's own drops the old table first.
-#}
{% materialization table, adapter='spark', supported_languages=['sql'] %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {{ run_hooks(pre_hooks) }}
    {%- set built = cadran.spark_build_beside(target_relation, compiled_code) -%}
    {%- do cadran.spark_put_in_place(built, target_relation) -%}
    {% do persist_docs(target_relation, model) %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
