"""DuckDB: a file for another program, in the storage format that DuckDB 1.0 and later read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cadran.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa


def write(path: Path, tables: Mapping[str, pa.Table]) -> None:
    """Write tables into a new database file, which takes the place of an old one at once.

    Who has the old file open keeps reading it until they let go of it.

    Args:
        path: the file.
        tables: their rows, by name.

    Raises:
        WarehouseError: the file cannot be written.
    """
    import duckdb

    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    aside.unlink(missing_ok=True)
    with duckdb.connect() as connection:
        file = str(aside).replace("'", "''")
        try:
            connection.execute(f"attach '{file}' as made (storage_version 'v1.0.0')")
            for name, rows in tables.items():
                connection.register("given_rows", rows)
                connection.execute(f"create table made.{_quoted(name)} as from given_rows")
                connection.unregister("given_rows")
            connection.execute("detach made")
        except duckdb.Error as error:
            says = str(error).strip().splitlines()[0]
            raise WarehouseError(f"{path} cannot be written: {says}") from error
    aside.replace(path)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
