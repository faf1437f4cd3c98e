"""A database of PostgreSQL with the tables of a built DuckDB file, for tests that need no dbt."""

from __future__ import annotations

import io

import duckdb
import psycopg
from pyarrow import csv

TYPES = {
    "VARCHAR": "text", "BIGINT": "bigint", "INTEGER": "integer", "DOUBLE": "double precision",
    "HUGEINT": "numeric(38,0)", "BOOLEAN": "boolean", "DATE": "date", "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz", "FLOAT": "real", "SMALLINT": "smallint",
    "UINTEGER": "bigint", "UBIGINT": "numeric(20,0)", "TINYINT": "smallint", "UUID": "uuid",
}  # fmt: skip


def copied(file, url, name, schemas=None):
    """A new database of the file's name, so that its definitions hold there; returns its URL.

    Args:
        file: the DuckDB file.
        url: of the server.
        name: of the database.
        schemas: those that are copied; all but the ledger's when None.
    """
    with psycopg.connect(f"{url}/postgres", autocommit=True) as server:
        server.execute(f'drop database if exists "{name}" with (force)')
        server.execute(f'create database "{name}"')
    with (
        duckdb.connect(str(file), read_only=True) as built,
        psycopg.connect(f"{url}/{name}") as target,
    ):
        tables = built.execute(
            "select table_schema, table_name from information_schema.tables order by all"
        ).fetchall()
        for schema, table in tables:
            if (schemas and schema not in schemas) or table.startswith("kpi_ledger"):
                continue
            _table(built, target, schema, table)
    return f"{url}/{name}"


def _table(built, target, schema, table):
    rows = built.sql(f'select * from "{schema}"."{table}"')
    kinds = [TYPES.get(str(kind), str(kind).lower()) for kind in rows.types]
    columns = ", ".join(f'"{c}" {kind}' for c, kind in zip(rows.columns, kinds, strict=True))
    target.execute(f'create schema if not exists "{schema}"')
    target.execute(f'create table "{schema}"."{table}" ({columns})')
    buffer = io.BytesIO()
    csv.write_csv(rows.to_arrow_table(), buffer, csv.WriteOptions(include_header=False))
    with target.cursor().copy(f'copy "{schema}"."{table}" from stdin (format csv)') as copy:
        copy.write(buffer.getvalue())
