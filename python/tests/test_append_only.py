"""The ledger's tables on PostgreSQL: rows go in, and nobody changes them."""

from __future__ import annotations

import os
import subprocess

import duckdb
import pytest
from dbt.adapters.base.relation import BaseRelation
from jinja2 import Environment

from cadran.core.warehouse.ledger_sql import CREATE

# The tables of `cadran.core.warehouse.ledger_sql`, in types that every engine has; the marks of a
# batch's rows are one text there.
LEDGER = {
    "kpi_ledger_batches": """
        batch bigint not null, kind varchar(20) not null, kpi varchar(200) not null,
        published_at timestamp not null, computed_at timestamp not null, data_as_of timestamp,
        value_type varchar(50) not null, version integer not null,
        definition_hash varchar(80) not null, git_revision varchar(80),
        author varchar(200) not null, details varchar(4000) not null,
        row_count bigint not null, rows_hash varchar(64) not null,
        previous_hash varchar(64) not null, hash varchar(64) not null, row_marks text not null
    """,
    "kpi_ledger_rows": """
        batch bigint not null, row bigint not null, kpi varchar(200) not null,
        grain varchar(20) not null, period timestamp not null,
        dimension_set varchar(2000) not null, dimensions varchar(4000) not null,
        value varchar(100), numerator varchar(100), denominator varchar(100), observations bigint,
        status varchar(20) not null, version integer not null,
        definition_hash varchar(80) not null
    """,
}
ROW = """
insert into governance.kpi_ledger_rows values (1, {row}, 'net_revenue', 'month',
timestamp '2026-09-01', '', '{{}}', '31041.29', null, null, 657, 'provisional', 1, 'abc')
"""
CHANGES = {
    "UPDATE": "update governance.kpi_ledger_rows set value = '1'",
    "DELETE": "delete from governance.kpi_ledger_rows where row = 1",
    "TRUNCATE": "truncate governance.kpi_ledger_rows",
}


@pytest.fixture(scope="module")
def macros(project_root):
    """The macros of the file, as Jinja sees them."""
    text = (project_root / "macros" / "append_only.sql").read_text()
    return Environment(autoescape=False).from_string(text).module  # noqa: S701 - SQL, no page


@pytest.fixture(scope="module")
def psql(tool, macros):
    """Runs SQL in a PostgreSQL of its own, in which the ledger's tables are protected."""
    told = dict(line.split("=", 1) for line in tool("postgres", "start").splitlines())
    environment = os.environ | told

    def run(*statements, role=None):
        text = [f"set role {role};"] if role else []
        done = subprocess.run(
            ["psql", "--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1"],
            input="\n".join([*text, *(f"{statement};" for statement in statements)]),
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout.strip() if done.returncode == 0 else done.stderr

    try:
        protect(run, macros)
        yield run
    finally:
        tool("postgres", "stop", told["PGDATA"])


def protect(run, macros):
    """Make the tables, hand out every right, and then protect them."""
    tables = [f"create table governance.{name} ({columns})" for name, columns in LEDGER.items()]
    granted = [
        "grant usage on schema governance to publisher",
        "grant all on all tables in schema governance to publisher, public",
    ]
    made = run("create schema governance", "create role publisher", *tables, *granted)
    assert made == ""
    for name in LEDGER:
        relation = BaseRelation.create(schema="governance", identifier=name)
        protection = str(macros.postgres__append_only(relation, ["publisher"]))
        for _ in range(2):  # it may be run again
            assert "ERROR" not in run(protection)
    assert run(ROW.format(row=1)) == ""


def test_rows_go_in_and_come_out(psql):
    assert psql(ROW.format(row=2), role="publisher") == ""
    counted = "select count(*) from governance.kpi_ledger_rows where row = 2"
    assert psql(counted, role="publisher") == "1"


@pytest.mark.parametrize("change", CHANGES)
def test_a_role_that_publishes_has_no_right_to_change_them(psql, change):
    assert "permission denied for table kpi_ledger_rows" in psql(CHANGES[change], role="publisher")


@pytest.mark.parametrize("change", CHANGES)
def test_the_owner_and_a_replication_role_are_refused_too(psql, change):
    said = f"governance.kpi_ledger_rows is append-only: {change} is refused"
    assert said in psql(CHANGES[change])
    assert said in psql("set session_replication_role = replica", CHANGES[change])
    assert psql("select value from governance.kpi_ledger_rows where row = 1") == "31041.29"


def test_the_tables_are_those_of_the_ledger():
    with duckdb.connect() as connection:
        connection.execute(CREATE)
        for name, columns in LEDGER.items():
            made = connection.sql(f"select * from governance.{name}").columns
            assert made == [column.split()[0] for column in columns.split(",")]


def test_other_engines_get_no_statement(macros):
    relation = BaseRelation.create(schema="governance", identifier="kpi_ledger_rows")
    assert str(macros.default__append_only(relation, [])).strip() == ""
