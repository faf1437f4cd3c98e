{% macro append_only(relation, roles=[]) -%}
    {{ return(adapter.dispatch('append_only', 'cadran')(relation, roles)) }}
{%- endmacro %}


{% macro default__append_only(relation, roles) -%}
    {#- An engine that guards nothing has the chain of hashes alone. -#}
{%- endmacro %}


{% macro postgres__append_only(relation, roles) -%}
    {#- Grants stop roles; the trigger also stops the owner and a superuser, who would have to drop
        it first, and it fires for replication roles too. -#}
    {%- set guard = relation.without_identifier() ~ '.refuse_change' -%}
    create or replace function {{ guard }}() returns trigger language plpgsql as $guard$
    begin
        raise exception '%.% is append-only: % is refused', tg_table_schema, tg_table_name, tg_op
            using errcode = 'insufficient_privilege';
    end
    $guard$;

    drop trigger if exists append_only on {{ relation }};
    create trigger append_only before update or delete or truncate on {{ relation }}
    for each statement execute function {{ guard }}();
    alter table {{ relation }} enable always trigger append_only;

    revoke update, delete, truncate, references, trigger on {{ relation }}
    from {{ (['public'] + roles) | join(', ') }};
{%- endmacro %}
