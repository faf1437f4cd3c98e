"""Files as tables of PostgreSQL: DuckDB reads them, COPY takes them in."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cadran.core.warehouse.dialects import literal, quoted
from cadran.core.warehouse.duckdb_local import Scratch
from cadran.core.warehouse.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import psycopg

    from cadran.core.warehouse.postgres import Address

# DuckDB's types by what PostgreSQL calls them; decimals are called alike, the others become text.
_TYPES = {
    "BOOLEAN": "boolean", "TINYINT": "smallint", "SMALLINT": "smallint", "INTEGER": "integer",
    "BIGINT": "bigint", "HUGEINT": "numeric(38)", "UTINYINT": "smallint", "USMALLINT": "integer",
    "UINTEGER": "bigint", "UBIGINT": "numeric(20)", "FLOAT": "real", "DOUBLE": "double precision",
    "DATE": "date", "TIME": "time", "TIMESTAMP": "timestamp", "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp", "TIMESTAMP_NS": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz", "UUID": "uuid",
}  # fmt: skip
_BLOCK = 1 << 20  # bytes that are handed over at once


def load(
    place: Address,
    relations: Mapping[tuple[str, str], str],
    progress: Callable[[str], None] | None = None,
) -> dict[str, int]:
    """Fill tables with what files hold; returns the rows of each, by `schema.table`.

    All of them are filled, or none. A table of the same columns is emptied, so that views of it
    stay; one of other columns is made anew, and views of it go.

    Args:
        place: the database.
        relations: what DuckDB reads each table from, by schema and name.
        progress: called with the name of each table before it is filled.

    Raises:
        WarehouseError: a file cannot be read, or the database refuses it.
    """
    database, counts = Postgres(place, None), {}
    with (
        Scratch() as scratch,
        database.connected(writes=True) as connection,
        database.named_errors(),
        connection.transaction(),
        tempfile.TemporaryDirectory() as folder,
    ):
        for (schema, name), relation in relations.items():
            if progress:
                progress(f"{schema}.{name}")
            file = Path(folder) / "rows.csv"
            kinds = _written(scratch, relation, file)
            _prepare(connection, schema, name, kinds)
            counts[f"{schema}.{name}"] = _copied(connection, schema, name, file)
    return counts


def _written(scratch: Scratch, relation: str, file: Path) -> dict[str, str]:
    """Write rows as CSV, in which nothing is NULL and "" is an empty text; returns their types."""
    described = scratch.rows(f"describe select * from {relation}")
    kinds = {
        str(column): kind.lower() if kind.startswith("DECIMAL") else _TYPES.get(kind, "text")
        for column, kind, *_ in described
    }
    scratch.execute(f"copy (select * from {relation}) to {literal(str(file))}"
                    " (format csv, header false)")  # fmt: skip
    return kinds


def _prepare(
    connection: psycopg.Connection[object], schema: str, name: str, kinds: Mapping[str, str]
) -> None:
    table = f"{quoted(schema)}.{quoted(name)}"
    columns = ", ".join(f"{quoted(column)} {kind}" for column, kind in kinds.items())
    connection.execute(f"create schema if not exists {quoted(schema)}")
    connection.execute(f"create temporary table wanted ({columns}) on commit drop")
    described = (
        "select coalesce(array_agg((attname, atttypid, atttypmod)::text order by attnum), '{}')"
        " from pg_catalog.pg_attribute"
        " where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped"
    )
    present, wanted = (
        connection.execute(described, (relation,)).fetchone()
        for relation in (table, "pg_temp.wanted")
    )
    connection.execute("drop table pg_temp.wanted")
    if present == wanted:
        connection.execute(f"truncate {table}")
    else:
        connection.execute(f"drop table if exists {table} cascade")
        connection.execute(f"create table {table} ({columns})")


def _copied(connection: psycopg.Connection[object], schema: str, name: str, file: Path) -> int:
    table, cursor = f"{quoted(schema)}.{quoted(name)}", connection.cursor()
    with file.open("rb") as rows, cursor.copy(f"copy {table} from stdin (format csv)") as copy:
        while block := rows.read(_BLOCK):
            copy.write(block)
    connection.execute(f"analyze {table}")
    return cursor.rowcount
